package sysgate

// SetLimit sets how many handlers run at once.
func (l *Listener) SetLimit(n int) { l.limit = n }

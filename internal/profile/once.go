package profile

func (a *analysis) onceDoubt(string) *doubt { return nil }

var unreadOnce = []string{"os.checkPidfd"}

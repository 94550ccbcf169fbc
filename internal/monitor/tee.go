package monitor

import "errors"

type tee []Sink

// Tee returns a sink that writes each event to all sinks.
func Tee(sinks ...Sink) Sink {
	if len(sinks) == 1 {
		return sinks[0]
	}
	return tee(sinks)
}

func (t tee) Write(e Event) error {
	var errs []error
	for _, s := range t {
		errs = append(errs, s.Write(e))
	}
	return errors.Join(errs...)
}

func (t tee) Flush() error {
	var errs []error
	for _, s := range t {
		errs = append(errs, flush(s))
	}
	return errors.Join(errs...)
}

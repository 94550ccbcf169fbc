package main

import (
	"fmt"
	"os"
	"time"
)

// An event is what the service saw.
type event struct {
	Time time.Time `json:"time"`
	Host string    `json:"host"`
	Load float64   `json:"load"` // average of the last minute
}

// collect observes the machine.
func collect() (*event, error) {
	e := &event{Time: time.Now()}
	var err error
	if e.Host, err = os.Hostname(); err != nil {
		return nil, err
	}
	data, err := os.ReadFile("/proc/loadavg") // proc_loadavg(5)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Sscan(string(data), &e.Load); err != nil {
		return nil, fmt.Errorf("/proc/loadavg: %w", err)
	}
	return e, nil
}

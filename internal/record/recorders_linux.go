package record

// Recorders returns all of them, the best one first.
func Recorders() []Recorder { return []Recorder{ebpfRecorder{}, notifyRecorder{}, ptraceRecorder{}} }

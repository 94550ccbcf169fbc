package record

import (
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// The kernel's part of the ebpf recorder. Programs at five tracepoints work on maps:
//
//   - sched_process_fork: the child of a watched task is watched.
//   - sched_process_exec: a watched task is armed from here on, so that the
//     launcher's own calls are not counted; its executable gets a number.
//   - sched_process_exit: the task is forgotten.
//   - sys_enter counts a call of an armed task, and what its arguments say it is.
//   - sys_exit without a sys_enter of the same task is a call that a seccomp filter
//     denied: filters run before the tracepoint. It costs as much as all of the rest,
//     so that it is attached when there is a filter: see [ebpfMaps.hold].
//
// Everything is counted in maps, so that no rate of calls is too high. What is known of
// a task is kept with the task: a look into a hash would take twice as long.
const (
	numbers = 1024 // calls that a table has for each ABI; others are in a hash

	// A task's state: state, number of its executable, number of its last call.
	taskArmed    = 1
	taskInside   = 2 // in a system call of which sys_enter told
	taskSure     = 4 // sys_exit was attached by then: taskInside is not left from an earlier call
	taskExe      = 4
	taskNR       = 8
	taskSize     = 16
	taskNewState = taskInside | taskSure // of who leaves a call without having entered it

	// An entry of a count: how often, when first (CLOCK_MONOTONIC), by which executable.
	countTime, countExe, countSize = 8, 16, 24

	// An entry of the modes: six masks, whether there are any, and the first argument
	// plus one with which the call installs a filter, 0 for none.
	modesAny, modesInstall, modesSize = 48, 52, 56

	// What this process tells the programs: taskSure when sys_exit is attached.
	controlSize = 4

	exeSize = 256 // of a path; the rest is cut off

	// The counters of what had no room, and of filters that sys_exit came too late for.
	missTask, missNumber, missExe, missExits, counters = 0, 1, 2, 3, 4

	cpuBits = 12 // of an executable's number: each CPU counts its own
)

// ebpfMaps are what the programs work on.
type ebpfMaps struct {
	Watched *ebpf.Map // thread → state and executable that its children begin with
	Tasks   *ebpf.Map // the same, and more, with the task itself
	Counts  *ebpf.Map // call → count, per CPU
	Denied  *ebpf.Map // the same of calls that a filter denied
	Others  *ebpf.Map // ABI, number, denied → count, of numbers that no table has
	Modes   *ebpf.Map // call → masks
	Values  *ebpf.Map // call and arguments under masks → count
	Open    *ebpf.Map // call → how often Values had no room
	Exes    *ebpf.Map // path → number
	ExeIDs  *ebpf.Map // how many, per CPU
	Special *ebpf.Map // counters
	Control *ebpf.Map
	Filters *ebpf.Map // tells that a filter is about to be installed
}

func (m *ebpfMaps) specs() map[**ebpf.Map]*ebpf.MapSpec {
	const calls = numbers * abis
	word := &btf.Int{Name: "unsigned int", Size: 4}
	task := &btf.Array{Index: word, Type: word, Nelems: taskSize / 4}
	return map[**ebpf.Map]*ebpf.MapSpec{
		&m.Watched: {Name: "watched", Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 1 << 15},
		&m.Tasks: {
			Name: "tasks", Type: ebpf.TaskStorage, KeySize: 4, ValueSize: taskSize, Flags: unix.BPF_F_NO_PREALLOC,
			Key: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}, Value: task,
		},
		&m.Counts:  {Name: "counts", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: countSize, MaxEntries: calls},
		&m.Denied:  {Name: "denied", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: countSize, MaxEntries: calls},
		&m.Others:  {Name: "others", Type: ebpf.Hash, KeySize: 12, ValueSize: countSize, MaxEntries: 4096},
		&m.Modes:   {Name: "modes", Type: ebpf.Array, KeySize: 4, ValueSize: modesSize, MaxEntries: calls},
		&m.Values:  {Name: "values", Type: ebpf.Hash, KeySize: 56, ValueSize: 8, MaxEntries: 1 << 14},
		&m.Open:    {Name: "open", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: calls},
		&m.Exes:    {Name: "exes", Type: ebpf.Hash, KeySize: exeSize, ValueSize: 4, MaxEntries: 4096},
		&m.ExeIDs:  {Name: "exe_ids", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		&m.Special: {Name: "special", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: counters},
		&m.Control: {Name: "control", Type: ebpf.Array, KeySize: 4, ValueSize: controlSize, MaxEntries: 1},
		&m.Filters: {Name: "filters", Type: ebpf.RingBuf, MaxEntries: uint32(os.Getpagesize())},
	}
}

// What is on the stack, as offsets from the frame pointer.
const (
	stackTID    = -4
	stackIndex  = -8
	stackOther  = -24  // key of Others: 12 bytes
	stackOne    = -32  // a value of 8 bytes
	stackCount  = -56  // a value of countSize bytes
	stackValues = -112 // key of Values, 56 bytes
)

func lookup(m *ebpf.Map, key int32) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, key),
		asm.FnMapLookupElem.Call(),
	}
}

func update(m *ebpf.Map, key, value, flags int32) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, key),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, value),
		asm.Mov.Imm(asm.R4, flags),
		asm.FnMapUpdateElem.Call(),
	}
}

// bump adds one to entry index of the counters; label has to be unused.
func bump(m *ebpf.Map, index int64, label string) asm.Instructions {
	return join(
		asm.Instructions{asm.StoreImm(asm.RFP, stackIndex, index, asm.Word)},
		lookup(m, stackIndex),
		asm.Instructions{
			asm.JEq.Imm(asm.R0, 0, label),
			asm.Mov.Imm(asm.R1, 1),
			asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
			asm.Mov.Imm(asm.R0, 0).WithSymbol(label),
		},
	)
}

func join(parts ...asm.Instructions) asm.Instructions {
	var all asm.Instructions
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// leave is where every program ends.
func leave() asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R0, 0).WithSymbol("leave"), asm.Return()}
}

// currentTask leaves the state of the calling thread in R7, the thread in R9 and the
// context in R6; if the thread is not watched, it jumps to absent.
func (m *ebpfMaps) currentTask(absent string) asm.Instructions {
	return join(
		asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.FnGetCurrentTaskBtf.Call(),
			asm.Mov.Reg(asm.R9, asm.R0),
		},
		m.taskState(asm.R9, 0),
		asm.Instructions{
			asm.JEq.Imm(asm.R0, 0, absent),
			asm.Mov.Reg(asm.R7, asm.R0),
		},
	)
}

// taskState leaves the state of the thread in R0; flag 1, BPF_LOCAL_STORAGE_GET_F_CREATE,
// makes one.
func (m *ebpfMaps) taskState(task asm.Register, flag int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R2, task),
		asm.LoadMapPtr(asm.R1, m.Tasks.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.Mov.Imm(asm.R4, flag),
		asm.FnTaskStorageGet.Call(),
	}
}

// currentWatched leaves the entry of Watched of the calling thread in R0, and jumps to
// leave if there is none.
func (m *ebpfMaps) currentWatched() asm.Instructions {
	return join(
		asm.Instructions{
			asm.FnGetCurrentPidTgid.Call(),
			asm.StoreMem(asm.RFP, stackTID, asm.R0, asm.Word),
		},
		lookup(m.Watched, stackTID),
		asm.Instructions{asm.JEq.Imm(asm.R0, 0, "leave")},
	)
}

// enter is sys_enter(struct pt_regs *, long number). adopt: threads may be watched that
// have no state yet. hold: wait for sys_exit before the first filter is installed.
func (m *ebpfMaps) enter(o offsets, adopt, hold bool) asm.Instructions {
	absent := "leave"
	var adopted asm.Instructions
	if adopt {
		absent = "absent"
		adopted = m.adopt("present")
	}
	code := join(
		m.currentTask(absent),
		asm.Instructions{
			asm.LoadMem(asm.R1, asm.R7, 0, asm.Word).WithSymbol("present"),
			asm.And.Imm(asm.R1, taskArmed),
			asm.JEq.Imm(asm.R1, 0, "leave"),
			asm.LoadMem(asm.R8, asm.R6, 8, asm.DWord),
			asm.StoreMem(asm.R7, taskNR, asm.R8, asm.Word),
			asm.LoadMapValue(asm.R2, m.Control.FD(), 0),
			asm.LoadMem(asm.R1, asm.R2, 0, asm.Word),
			asm.Or.Imm(asm.R1, taskArmed|taskInside),
			asm.StoreMem(asm.R7, 0, asm.R1, asm.Word),
		},
		m.count(o, m.Counts, 0, hold),
		adopted,
	)
	if !hold {
		return code
	}
	// A function that a program hands to a helper has to have a type.
	number := &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed}
	pointer := &btf.Pointer{Target: &btf.Void{}}
	function := func(name string, params ...btf.Type) *btf.Func {
		proto := &btf.FuncProto{Return: number}
		for i, p := range params {
			proto.Params = append(proto.Params, btf.FuncParam{Name: fmt.Sprintf("p%d", i), Type: p})
		}
		return &btf.Func{Name: name, Type: proto, Linkage: btf.StaticFunc}
	}
	code[0] = btf.WithFuncMetadata(code[0].WithSymbol("enter"), function("enter", pointer))
	wait := m.wait()
	wait[0] = btf.WithFuncMetadata(wait[0], function(waitFunction, number, pointer))
	return join(code, wait)
}

// adopt gives a thread that is watched its state, and goes on at a label.
func (m *ebpfMaps) adopt(label string) asm.Instructions {
	return join(
		labelled("absent", m.currentWatched()),
		asm.Instructions{asm.Mov.Reg(asm.R8, asm.R0)},
		m.taskState(asm.R9, 1),
		asm.Instructions{
			asm.JEq.Imm(asm.R0, 0, "unadopted"),
			asm.Mov.Reg(asm.R7, asm.R0),
			asm.LoadMem(asm.R1, asm.R8, 0, asm.DWord),
			asm.StoreMem(asm.R7, 0, asm.R1, asm.DWord),
			asm.Ja.Label(label),
		},
		labelled("unadopted", bump(m.Special, missTask, "not adopted")),
		asm.Instructions{asm.Ja.Label("leave")},
	)
}

// exit is sys_exit(struct pt_regs *, long result). adopt is as of enter: of a call that
// a thread was in when it was adopted nobody knows whether it entered it.
func (m *ebpfMaps) exit(o offsets, adopt bool) asm.Instructions {
	absent := "leave"
	var adopted asm.Instructions
	if adopt {
		absent = "absent"
		adopted = m.adopt("leave")
	}
	return join(
		m.currentTask(absent),
		asm.Instructions{
			asm.LoadMem(asm.R1, asm.R7, 0, asm.Word),
			asm.Mov.Reg(asm.R2, asm.R1),
			asm.And.Imm(asm.R2, taskArmed),
			asm.JEq.Imm(asm.R2, 0, "leave"),
			asm.StoreMem(asm.R7, 0, asm.R2, asm.Word),
			asm.LoadMem(asm.R3, asm.R6, 0, asm.DWord),
			asm.LoadMem(asm.R8, asm.R3, o.number, o.machine.numberSize),
			asm.Mov.Reg(asm.R2, asm.R1),
			asm.And.Imm(asm.R2, taskInside),
			asm.JEq.Imm(asm.R2, 0, "denied"),
			asm.And.Imm(asm.R1, taskSure),
			asm.JNE.Imm(asm.R1, 0, "leave"),
			// It may have left the call that it entered, before this program was
			// attached, and be back with one that a filter denied. Then that is most
			// likely another; sigreturn leaves with number -1.
			asm.LoadMem(asm.R2, asm.R7, taskNR, asm.Word),
			asm.JEq.Reg32(asm.R8, asm.R2, "leave"),
			asm.JEq.Imm32(asm.R8, -1, "leave"),
		},
		labelled("denied", m.count(o, m.Denied, 1, false)),
		adopted,
	)
}

// count counts the call whose number is in R8, of the thread in R9 with the state in
// R7, with the context in R6.
func (m *ebpfMaps) count(o offsets, counts *ebpf.Map, denied int32, hold bool) asm.Instructions {
	code := asm.Instructions{
		asm.LSh.Imm(asm.R8, 32), asm.RSh.Imm(asm.R8, 32),
		asm.LoadMem(asm.R1, asm.R9, o.compat, asm.Word), // of flags, the low half
		asm.And.Imm(asm.R1, o.machine.compatMask),
		asm.Mov.Reg(asm.R9, asm.R8),
		asm.JNE.Imm(asm.R1, 0, "compat"),
		asm.JLT.Imm(asm.R8, numbers, "index"),
		asm.Sub.Imm(asm.R9, int32(o.machine.thirdBase)), // a number below it becomes a large one
		asm.StoreImm(asm.RFP, stackOther, indexNative, asm.Word),
		asm.JGE.Imm(asm.R9, numbers, "other"),
		asm.Add.Imm(asm.R9, indexThird*numbers),
		asm.Ja.Label("index"),
		asm.StoreImm(asm.RFP, stackOther, indexCompat, asm.Word).WithSymbol("compat"),
		asm.JGE.Imm(asm.R8, numbers, "other"),
		asm.Add.Imm(asm.R9, indexCompat*numbers),
		asm.StoreMem(asm.RFP, stackIndex, asm.R9, asm.Word).WithSymbol("index"),
	}
	code = join(code, lookup(counts, stackIndex), asm.Instructions{
		asm.JEq.Imm(asm.R0, 0, "leave"),
		asm.Mov.Reg(asm.R8, asm.R0),
		asm.LoadMem(asm.R1, asm.R8, 0, asm.DWord),
		asm.JNE.Imm(asm.R1, 0, "again"),
		asm.FnKtimeGetNs.Call(),
		asm.StoreMem(asm.R8, countTime, asm.R0, asm.DWord),
		asm.LoadMem(asm.R1, asm.R7, taskExe, asm.Word),
		asm.StoreMem(asm.R8, countExe, asm.R1, asm.DWord),
		// Tracepoints are not preempted: nobody else counts on this CPU.
		asm.LoadMem(asm.R1, asm.R8, 0, asm.DWord).WithSymbol("again"),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R8, 0, asm.R1, asm.DWord),
	})
	return join(code, m.countValue(o, hold), leave(), m.countOther(denied))
}

// countValue counts the arguments of the call with index R9.
func (m *ebpfMaps) countValue(o offsets, hold bool) asm.Instructions {
	code := join(lookup(m.Modes, stackIndex), asm.Instructions{
		asm.JEq.Imm(asm.R0, 0, "leave"),
		asm.LoadMem(asm.R1, asm.R0, modesAny, asm.Word),
		asm.JEq.Imm(asm.R1, 0, "leave"),
		asm.Mov.Reg(asm.R8, asm.R0),
		asm.LoadMem(asm.R3, asm.R6, 0, asm.DWord),
		asm.StoreMem(asm.RFP, stackValues, asm.R9, asm.DWord),
		asm.JLT.Imm(asm.R9, indexCompat*numbers, "wide"),
		asm.JLT.Imm(asm.R9, indexThird*numbers, "narrow"),
	})
	args := func(regs [6]int16, symbol string) {
		for i, reg := range regs {
			first := asm.LoadMem(asm.R1, asm.R3, reg, asm.DWord)
			if i == 0 {
				first = first.WithSymbol(symbol)
			}
			code = append(code, first,
				asm.LoadMem(asm.R2, asm.R8, int16(8*i), asm.DWord),
				asm.And.Reg(asm.R1, asm.R2),
				asm.StoreMem(asm.RFP, int16(stackValues+8+8*i), asm.R1, asm.DWord))
		}
	}
	args(o.wide, "wide")
	code = append(code, asm.Ja.Label("value"))
	args(o.narrow, "narrow")
	values := lookup(m.Values, stackValues)
	if hold {
		values = join(m.hold(), values)
	}
	return join(code,
		labelled("value", values),
		asm.Instructions{
			asm.JNE.Imm(asm.R0, 0, "known"),
			asm.Mov.Imm(asm.R1, 1),
			asm.StoreMem(asm.RFP, stackOne, asm.R1, asm.DWord),
		},
		update(m.Values, stackValues, stackOne, 1), // BPF_NOEXIST
		asm.Instructions{asm.JEq.Imm(asm.R0, 0, "leave")},
		lookup(m.Values, stackValues), // another CPU was first, or there is no room
		asm.Instructions{
			asm.JNE.Imm(asm.R0, 0, "known"),
		},
		lookup(m.Open, stackIndex),
		asm.Instructions{
			asm.JEq.Imm(asm.R0, 0, "leave"),
			asm.Mov.Imm(asm.R1, 1).WithSymbol("known"),
			asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		},
	)
}

func labelled(label string, code asm.Instructions) asm.Instructions {
	code[0] = code[0].WithSymbol(label)
	return code
}

// countOther counts the call with the number in R8, which is in no table.
func (m *ebpfMaps) countOther(denied int32) asm.Instructions {
	return join(
		asm.Instructions{
			asm.StoreMem(asm.RFP, stackOther+4, asm.R8, asm.Word).WithSymbol("other"),
			asm.StoreImm(asm.RFP, stackOther+8, int64(denied), asm.Word),
		},
		lookup(m.Others, stackOther),
		asm.Instructions{
			asm.JNE.Imm(asm.R0, 0, "more"),
			asm.Mov.Imm(asm.R1, 1),
			asm.StoreMem(asm.RFP, stackCount, asm.R1, asm.DWord),
			asm.FnKtimeGetNs.Call(),
			asm.StoreMem(asm.RFP, stackCount+countTime, asm.R0, asm.DWord),
			asm.LoadMem(asm.R1, asm.R7, taskExe, asm.Word),
			asm.StoreMem(asm.RFP, stackCount+countExe, asm.R1, asm.DWord),
		},
		update(m.Others, stackOther, stackCount, 1),
		asm.Instructions{asm.JEq.Imm(asm.R0, 0, "leave")},
		lookup(m.Others, stackOther),
		asm.Instructions{asm.JNE.Imm(asm.R0, 0, "more")},
		bump(m.Special, missNumber, "missed"),
		asm.Instructions{
			asm.Ja.Label("leave"),
			asm.Mov.Imm(asm.R1, 1).WithSymbol("more"),
			asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
			asm.Ja.Label("leave"),
		},
	)
}

// fork is sched_process_fork(struct task_struct *parent, struct task_struct *child),
// in the parent.
func (m *ebpfMaps) fork(o offsets) asm.Instructions {
	return join(
		asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)},
		m.currentWatched(),
		asm.Instructions{
			asm.LoadMem(asm.R8, asm.R0, 0, asm.DWord),
			asm.StoreMem(asm.RFP, stackOne, asm.R8, asm.DWord),
			asm.LoadMem(asm.R7, asm.R6, 8, asm.DWord),
			asm.LoadMem(asm.R1, asm.R7, o.pid, asm.Word),
			asm.StoreMem(asm.RFP, stackTID, asm.R1, asm.Word),
		},
		update(m.Watched, stackTID, stackOne, 0),
		asm.Instructions{asm.JNE.Imm(asm.R0, 0, "miss")},
		m.taskState(asm.R7, 1),
		asm.Instructions{
			asm.JEq.Imm(asm.R0, 0, "miss"),
			asm.Or.Imm(asm.R8, taskNewState),
			asm.StoreMem(asm.R0, 0, asm.R8, asm.DWord),
			asm.Ja.Label("leave"),
		},
		labelled("miss", bump(m.Special, missTask, "missed")),
		leave(),
	)
}

// exec is sched_process_exec(struct task_struct *, pid_t old, struct linux_binprm *),
// in the task. A thread that executes a program takes over the number of its
// process's first thread, which has ended; old is what it was.
func (m *ebpfMaps) exec(o offsets) asm.Instructions {
	const stackOld, stackExe = -12, -320
	code := join(
		asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.FnGetCurrentPidTgid.Call(),
			asm.StoreMem(asm.RFP, stackTID, asm.R0, asm.Word),
			asm.LoadMem(asm.R1, asm.R6, 8, asm.DWord),
			asm.StoreMem(asm.RFP, stackOld, asm.R1, asm.Word),
		},
		lookup(m.Watched, stackOld),
		asm.Instructions{
			asm.JEq.Imm(asm.R0, 0, "leave"),
			asm.LoadMem(asm.R1, asm.RFP, stackOld, asm.Word),
			asm.LoadMem(asm.R2, asm.RFP, stackTID, asm.Word),
			asm.JEq.Reg(asm.R1, asm.R2, "same"),
			asm.LoadMapPtr(asm.R1, m.Watched.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackOld),
			asm.FnMapDeleteElem.Call(),
			asm.Mov.Imm(asm.R1, 0).WithSymbol("same"),
		},
	)
	for at := int16(stackExe); at < stackExe+exeSize; at += 8 {
		code = append(code, asm.StoreMem(asm.RFP, at, asm.R1, asm.DWord))
	}
	return join(code,
		asm.Instructions{
			asm.StoreImm(asm.RFP, stackOne, taskArmed, asm.Word),
			asm.StoreImm(asm.RFP, stackOne+taskExe, 0, asm.Word),
			asm.LoadMem(asm.R1, asm.R6, 16, asm.DWord),
			asm.LoadMem(asm.R3, asm.R1, o.filename, asm.DWord),
			asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, stackExe),
			asm.Mov.Imm(asm.R2, exeSize),
			asm.FnProbeReadKernelStr.Call(),
		},
		lookup(m.Exes, stackExe),
		asm.Instructions{
			asm.JNE.Imm(asm.R0, 0, "known"),
			asm.StoreImm(asm.RFP, stackIndex, 0, asm.Word),
		},
		lookup(m.ExeIDs, stackIndex),
		asm.Instructions{
			asm.JEq.Imm(asm.R0, 0, "arm"),
			// Tracepoints are not preempted: nobody else counts on this CPU.
			asm.LoadMem(asm.R8, asm.R0, 0, asm.DWord),
			asm.Add.Imm(asm.R8, 1), // 0 is none
			asm.StoreMem(asm.R0, 0, asm.R8, asm.DWord),
			asm.FnGetSmpProcessorId.Call(),
			asm.LSh.Imm(asm.R8, cpuBits),
			asm.Or.Reg(asm.R8, asm.R0),
			asm.StoreMem(asm.RFP, stackOne+taskExe, asm.R8, asm.Word),
		},
		update(m.Exes, stackExe, stackOne+taskExe, 0),
		asm.Instructions{asm.JEq.Imm(asm.R0, 0, "arm")},
		bump(m.Special, missExe, "missed"),
		asm.Instructions{
			asm.StoreImm(asm.RFP, stackOne+taskExe, 0, asm.Word),
			asm.Ja.Label("arm"),
			asm.LoadMem(asm.R1, asm.R0, 0, asm.Word).WithSymbol("known"),
			asm.StoreMem(asm.RFP, stackOne+taskExe, asm.R1, asm.Word),
		},
		labelled("arm", update(m.Watched, stackTID, stackOne, 0)),
		asm.Instructions{
			asm.JNE.Imm(asm.R0, 0, "miss"),
			asm.FnGetCurrentTaskBtf.Call(),
		},
		m.taskState(asm.R0, 1),
		asm.Instructions{
			asm.JEq.Imm(asm.R0, 0, "miss"),
			asm.LoadMem(asm.R1, asm.RFP, stackOne, asm.DWord),
			asm.Or.Imm(asm.R1, taskNewState),
			asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
			asm.Ja.Label("leave"),
		},
		labelled("miss", bump(m.Special, missTask, "unarmed")),
		leave(),
	)
}

// end is sched_process_exit(struct task_struct *), in the task.
func (m *ebpfMaps) end() asm.Instructions {
	return join(m.currentWatched(), asm.Instructions{
		asm.LoadMapPtr(asm.R1, m.Watched.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackTID),
		asm.FnMapDeleteElem.Call(),
	}, leave())
}

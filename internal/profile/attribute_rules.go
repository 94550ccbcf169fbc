package profile

// Some functions of glibc make certain calls only where they are told to: by an object
// of attributes, of a mutex, a thread, a program to start, or by an argument. Such an
// object is made by functions of glibc alone, one for each attribute; what lies in it
// is glibc's own business. So where none of the functions that set an attribute can
// run, or none with the flags for it, the calls are not made. Each rule is what
// glibc's source says, and is tested in TestAttributes.
type attributeRule struct {
	// in finds the functions that make the calls, to functions that glibc exports.
	in    func(*attributes) map[int]bool
	calls []string
	// setters are the functions that set the attribute: with flags, those whose
	// argument of the given number has one of these bits.
	setters  []string
	argument int
	flags    uint32
	// copied says that functions of glibc's own call a setter to copy what is set.
	copied bool
}

const attributesAssumed = "attributes of mutexes, threads and programs that are started are set by libc's functions for them alone"

var schedulerCalls = []string{"sched_getparam", "sched_getscheduler", "sched_setscheduler", "sched_get_priority_min", "sched_get_priority_max"}

const spawnActions = "posix_spawn_file_actions_"

var spawnFlags = []string{"posix_spawnattr_setflags"}

var attributeRules = []attributeRule{
	// A mutex may raise the priority of the thread that holds it to a ceiling
	// (nptl/tpp.c, pthread_mutex_init.c).
	{in: (*attributes).ofCeilings, calls: schedulerCalls, setters: []string{"pthread_mutexattr_setprotocol", "pthread_mutexattr_setprioceiling", "pthread_mutexattr_getprioceiling", "pthread_mutex_setprioceiling"}},
	// A thread may have its own priority (nptl/pthread_create.c,
	// ATTR_FLAG_NOTINHERITSCHED), or processors.
	{in: (*attributes).ofThreads, calls: schedulerCalls, setters: []string{"pthread_attr_setinheritsched"}},
	{in: (*attributes).ofThreads, calls: []string{"sched_setaffinity"}, setters: []string{"pthread_attr_setaffinity_np", "pthread_getattr_np"}, copied: true},
	// What posix_spawn starts may (sysdeps/unix/sysv/linux/spawni.c) …
	{in: (*attributes).ofChildren, calls: []string{"getuid", "getgid", "setresuid", "setresgid"}, setters: spawnFlags, argument: 1, flags: 0x01},
	{in: (*attributes).ofChildren, calls: []string{"setpgid"}, setters: spawnFlags, argument: 1, flags: 0x02},
	{in: (*attributes).ofChildren, calls: []string{"sched_setparam", "sched_setscheduler"}, setters: spawnFlags, argument: 1, flags: 0x10 | 0x20},
	{in: (*attributes).ofChildren, calls: []string{"setsid"}, setters: spawnFlags, argument: 1, flags: 0x80},
	{in: (*attributes).ofChildren, calls: []string{"dup2"}, setters: []string{spawnActions + "adddup2", spawnActions + "addopen"}},
	{in: (*attributes).ofChildren, calls: []string{"chdir"}, setters: []string{spawnActions + "addchdir_np", spawnActions + "addchdir"}},
	{in: (*attributes).ofChildren, calls: []string{"fchdir"}, setters: []string{spawnActions + "addfchdir_np", spawnActions + "addfchdir"}},
	{in: (*attributes).ofChildren, calls: []string{"close_range"}, setters: []string{spawnActions + "addclosefrom_np"}},
	{in: (*attributes).ofChildren, calls: []string{"getpgid"}, setters: []string{spawnActions + "addtcsetpgrp_np"}},
	// glob asks for users where it is to expand ~ (posix/glob.c: GLOB_TILDE,
	// GLOB_TILDE_CHECK).
	{in: ofNamed("glob", "glob64"), calls: []string{"getlogin_r", "getpwnam_r"}, setters: []string{"glob", "glob64"}, argument: 1, flags: 0x1000 | 0x4000},
	// faccessat does what the kernel does not where it has flags at all
	// (sysdeps/unix/sysv/linux/faccessat.c).
	{in: ofNamed("faccessat"), calls: []string{"getuid", "geteuid", "getgid", "getegid", "group_member"}, setters: []string{"faccessat"}, argument: 3, flags: 1<<32 - 1},
	// Of what makes temporary names only mkdtemp makes directories
	// (sysdeps/posix/tempname.c).
	{in: (*attributes).ofNames, calls: []string{"mkdir"}, setters: []string{"mkdtemp"}},
}

package record

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// calls writes the calls of a run for comparison.
func calls(run *observe.Run) []string {
	var all []string
	for _, c := range run.Calls {
		name := c.Name
		if name == "" {
			name = fmt.Sprint(c.NR)
		}
		text := fmt.Sprintf("%v:%s %d", c.ABI, name, c.Count)
		for _, v := range c.Values {
			text += fmt.Sprintf(" %x/%d", v.Args, v.Count)
		}
		if c.Open {
			text += " open"
		}
		all = append(all, text)
	}
	return all
}

func TestImport(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		tool       string
		want       []string
		doubt      string
		noDoubt    string
	}{
		{
			name: "unfinished, resumed, signals, stacks", tool: "strace",
			text: `1445  vfork( <unfinished ...>
1447  rt_sigprocmask(SIG_SETMASK, [],  <unfinished ...>
1447  <... rt_sigprocmask resumed>~[KILL STOP RTMIN RT_1], 8) = 0
1447  socket(AF_INET,  <unfinished ...>
1445  <... vfork resumed>)              = 1447
1447  <... socket resumed>SOCK_STREAM, IPPROTO_TCP) = 3
1445  --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=1447} ---
 > /usr/lib/libc.so.6(write+0x12) [0x1234]
1445  exit_group(0)                     = ?
1445  +++ exited with 0 +++
1446  mmap(NULL, 4096, PROT_READ <unfinished ...>
`,
			want: []string{
				"amd64:mmap 1 open", "amd64:rt_sigprocmask 1", "amd64:socket 1 [2 1 6 0 0 0]/1", "amd64:vfork 1", "amd64:exit_group 1",
			},
		},
		{
			name: "every decoration", tool: "strace",
			text: `[pid  1455] 21:18:47.306233 [ 41] [00007fabd0c53ad7] socket(0x1 /* AF_UNIX */, 0x1 /* SOCK_STREAM */|0x80000 /* SOCK_CLOEXEC */, 0) = 3<UNIX-STREAM:[12->13]> <0.000012>
1455<a b> 1700000000.123456 ioctl(3</dev/pts/1<char 136:1>>, TCGETS, {c_iflag=ICRNL, c_oflag=0}) = 0
21:18:47 (+     0.000012) ioctl(4<TCP:[127.0.0.1:80->127.0.0.1:99]>, _IOC(_IOC_READ|_IOC_WRITE, 0xee, 0x11, 0xff), 0) = -1 ENOTTY (Inappropriate)
     0.000226 prctl(PR_SET_NAME, "a,b\"c)", NULL) = 0
clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7fe4b3a23a10) = 1446
mmap(NULL, 2097152, PROT_READ|PROT_WRITE, MAP_PRIVATE|0x40000|21<<MAP_HUGE_SHIFT, -1, 0) = 0x7f0000000000
personality(0xffffffff /* PER_LINUX */) = 0
syscall_0x1388(0x1, 0x2, 0, 0, 0, 0) = -1 ENOSYS (Function not implemented)
madvise(0x7f0000000000, 4096, MADV_WHATEVER) = 0
not_a_call_of_linux(1) = 0
`,
			want: []string{
				"amd64:mmap 1 [0 0 3 54040002 0 0]/1", "amd64:ioctl 2 [0 5401 0 0 0 0]/1 [0 c0ffee11 0 0 0 0]/1", "amd64:madvise 1 open",
				"amd64:socket 1 [1 80001 0 0 0 0]/1", "amd64:clone 1 [1200011 0 0 0 0 0]/1",
				"amd64:personality 1 [ffffffff 0 0 0 0 0]/1", "amd64:prctl 1 [f 0 0 0 0 0]/1", "amd64:5000 1",
			},
			doubt: "not_a_call_of_linux: no call of this name is known (1 times)",
		},
		{
			name: "modes and other ABIs", tool: "strace",
			text: `[ Process PID=12 runs in 32 bit mode. ]
12 mkdir("a", 0777) = 0
13 mkdir("a", 0777) = 0
13 stat64("a", 0x1234) = 0
12 bind(3, {sa_family=AF_INET}, 16) = 0
`,
			want:  []string{"386:mkdir 1", "386:socketcall 1 [2 0 0 0 0 0]/1", "386:stat64 1", "386:bind 1", "amd64:mkdir 1"},
			doubt: "calls that amd64 does not have are taken for those of its other ABIs; of calls that both have, the recording does not say",
		},
		{
			name: "the mode of the only process", tool: "strace",
			text: `execve("./c32", ["./c32"], 0x7ffd24f53760 /* 39 vars */) = 0
[ Process PID=19768 runs in 32 bit mode. ]
mkdir("a", 0777) = 0
[pid 19768] mkdir("a", 0777) = 0
[pid 19769] mkdir("a", 0777) = 0
`,
			want:  []string{"386:mkdir 2", "amd64:execve 1", "amd64:mkdir 1"},
			doubt: "strace's text does not say by which ABI a call was made: with -n it does",
		},
		{
			name: "numbers", tool: "strace",
			text: `[  59] execve("./c32", ["./c32"], 0x7ffd24f53760 /* 39 vars */) = 0
[  39] mkdir("a", 0777) = 0
7 [  83] mkdir("a",  <unfinished ...>
8 [00007fabd0c53ad7] [  39] mkdir("a", 0777) = 0
7 [  83] <... mkdir resumed>0777) = 0
8 [ 102] bind(3, {sa_family=AF_INET}, 16) = 0
8 [  20] <... getpid resumed>) = 8
`,
			want:    []string{"386:getpid 1", "386:mkdir 2", "386:socketcall 1 [2 0 0 0 0 0]/1", "386:bind 1", "amd64:execve 1", "amd64:mkdir 1"},
			doubt:   "calls whose beginning is not in the file have unknown arguments",
			noDoubt: "by which ABI",
		},
		{
			name: "table without its columns", tool: "strace -c",
			text: `% time seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 79.75 0.002521 97 26 futex
  1.96    0.000062          12         5         1 openat
------ ----------- ----------- --------- --------- ----------------
100.00    0.003161                   293         8 total
System call usage summary for x32 mode:
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
  0.00    0.000000           0         3         1 getpid
------ ----------- ----------- --------- --------- ----------------
100.00    0.000000           0         1         1 total
`,
			want:  []string{"amd64:futex 26", "amd64:openat 5", "x32:getpid 3"},
			doubt: "the table has no arguments",
		},
		{
			name: "chosen columns", tool: "strace -c",
			text: `    calls syscall             errors
--------- ---------------- ---------
        7 read
       23 ioctl                     2
--------- ---------------- ---------
       30 total                     2
`,
			want: []string{"amd64:read 7", "amd64:ioctl 23 open"},
		},
		{
			name: "perf trace", tool: "perf trace",
			text: `         ? (         ): ls/32592  ... [continued]: execve())                                           = 0
     0.271 ( 0.015 ms): ls/32592 mmap(len: 8192, prot: READ|WRITE, flags: PRIVATE|ANONYMOUS)           = 0x7fc373694000
     1.212 ( 0.022 ms): a,b(c/1498 socket(family: LOCAL, type: STREAM|CLOEXEC)                           = 4
     1.301 ( 0.012 ms): r/1498 ioctl(cmd: TCGETS)                                                    = -1 ENOTTY (Inappropriate ioctl for device)
     1.324 ( 0.011 ms): r/1498 ioctl(cmd: (READ|WRITE, 0xee, 0x11, 0xff))                            = -1 ENOTTY (Inappropriate ioctl for device)
     2.000 (         ): r/1498 nanosleep(rqtp: 0x7ffd)                                                  ...
LOST 17 events!
     2.000 ( 1.000 ms): r/1498  ... [continued]: nanosleep())                                          = 0
`,
			want: []string{
				"amd64:mmap 1 [0 0 3 22 0 0]/1", "amd64:ioctl 2 open", "amd64:nanosleep 1",
				"amd64:socket 1 [1 80001 0 0 0 0]/1", "amd64:execve 1",
			},
			doubt: perfDoubt,
		},
		{
			name: "perf trace -s", tool: "perf trace -s",
			text: `
 Summary of events:

 ls (32594), 288 events, 97.3%

   syscall            calls  errors  total       min       avg       max       stddev
                                     (msec)    (msec)    (msec)    (msec)        (%)
   --------------- --------  ------ -------- --------- --------- ---------     ------
   openat                34     13     0.563     0.012     0.017     0.026      4.32%
   mmap                  30      0     0.532     0.013     0.018     0.031      4.46%

 sh (3), 2 events, 0.1%

   openat                 1      0     0.563     0.012     0.017     0.026      4.32%
`,
			want: []string{"amd64:mmap 30 open", "amd64:openat 35"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !Recognizes([]byte(tt.text)) {
				t.Fatal("not recognised")
			}
			runs, err := Import([]File{{"f", []byte(tt.text)}}, abi.AMD64)
			if err != nil {
				t.Fatal(err)
			}
			if len(runs) != 1 || runs[0].Recorder != tt.tool {
				t.Fatalf("runs %+v, want one of %s", runs, tt.tool)
			}
			if diff := cmp.Diff(tt.want, calls(runs[0])); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if doubts := strings.Join(runs[0].Doubts, "\n"); !strings.Contains(doubts, tt.doubt) {
				t.Errorf("doubts:\n%s\nwant %q", doubts, tt.doubt)
			} else if tt.noDoubt != "" && strings.Contains(doubts, tt.noDoubt) {
				t.Errorf("doubts:\n%s\nand no %q", doubts, tt.noDoubt)
			}
		})
	}
}

func TestNotRecognized(t *testing.T) {
	for _, text := range []string{
		"", "hello\n", "version: 1\nsyscalls: []\n",
		`type=SECCOMP msg=audit(1795295578.441:680025): auid=1 syscall=83` + "\n",
		`audit(1795295472.565:12): auid=4294967295 uid=0 syscall=83 code=0x80000000` + "\n",
		`[   12.345678] audit: type=1326 audit(1795295426.317:2): auid=4294967295` + "\n",
	} {
		if Recognizes([]byte(text)) {
			t.Errorf("recognised: %s", text)
		}
		if _, err := Import([]File{{"f", []byte(text)}}, abi.AMD64); err == nil {
			t.Errorf("imported: %s", text)
		}
	}
}

func TestImportGroups(t *testing.T) {
	line := []byte("close(3) = 0\n")
	runs, err := Import([]File{{"out.12", line}, {"out.13", line}, {"other", line}, {"alone.1", line}}, abi.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range runs {
		got = append(got, fmt.Sprint(r.Source, calls(r)))
	}
	if diff := cmp.Diff([]string{"out[amd64:close 2]", "other[amd64:close 1]", "alone.1[amd64:close 1]"}, got); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

func FuzzImport(f *testing.F) {
	f.Add([]byte("1445  socket(AF_INET,  <unfinished ...>\n1445  <... socket resumed>SOCK_STREAM, IPPROTO_TCP) = 3\n"))
	f.Add([]byte("% time seconds usecs/call calls errors syscall\n--- ---\n79.75 0.002521 97 26 futex\n"))
	f.Add([]byte("     0.271 ( 0.015 ms): ls/32592 mmap(len: 8192, prot: READ|WRITE, flags: PRIVATE) = 0x7\nLOST 3 events\n"))
	f.Add([]byte(" Summary of events:\n   openat   34   13   0.563  0.012\n"))
	f.Add([]byte("ioctl(3<a<b>>, _IOC(_IOC_READ, 0xee, 0x11, 0xff), \"a\\\"\", [{a=1}]) = 0\n[ Process PID=1 runs in x32 mode. ]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		runs, err := Import([]File{{"f", data}}, abi.AMD64)
		if (err == nil) != Recognizes(data) {
			t.Errorf("recognised %v, error %v", Recognizes(data), err)
		}
		for _, r := range runs {
			var b strings.Builder
			if err := observe.WriteRun(&b, r); err != nil {
				t.Fatal(err)
			}
			if _, err := observe.ReadRuns(strings.NewReader(b.String())); err != nil {
				t.Fatalf("what was imported cannot be read back: %v", err)
			}
		}
	})
}

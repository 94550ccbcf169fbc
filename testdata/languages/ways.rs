// A program of Rust in which a number of its own gets to the kernel in each way that
// the language has to call something without naming it. Each call is made in one
// place only, and harmless; the test knows them by the comments "way: call".
use std::any::Any;
use std::arch::asm;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::{mpsc, Arc, Condvar, Mutex, Once};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::{env, fs, panic, process, ptr, thread, time};

// raw makes a system call without the help of libc.
#[inline(always)]
fn raw(n: i64) -> i64 {
    let r: i64;
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("syscall", inlateout("rax") n => r, in("rdi") 0, in("rsi") 0, in("rdx") 0, out("rcx") _, out("r11") _);
    }
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc 0", in("x8") n, inlateout("x0") 0i64 => r, in("x1") 0, in("x2") 0);
    }
    r
}

trait Shape {
    fn area(&self) -> i64;
    fn twice(&self) -> i64 {
        self.area() + raw(140) // method that a trait gives: getpriority
    }
}
struct Square;
struct Circle(Box<i64>);
impl Shape for Square {
    fn area(&self) -> i64 {
        raw(143) // method of a trait object: sched_getparam
    }
}
impl Shape for Circle {
    fn area(&self) -> i64 {
        raw(145) + *self.0 // method of a trait object: sched_getscheduler
    }
}
impl Drop for Circle {
    fn drop(&mut self) {
        raw(146); // drop of a trait object: sched_get_priority_max
    }
}

#[inline(never)]
fn shape(kind: usize) -> Box<dyn Shape> {
    if kind == 1 { Box::new(Square) } else { Box::new(Circle(Box::new(1))) }
}

fn first() -> i64 {
    raw(147) // function in a table: sched_get_priority_min
}
fn second() -> i64 {
    raw(148) // function in a table: sched_rr_get_interval
}
static COMMANDS: [(&str, fn() -> i64); 3] = [
    ("first", first),
    ("second", second),
    ("third", || raw(121)), // closure in a table: getpgid
];

struct Guard;
impl Drop for Guard {
    fn drop(&mut self) {
        raw(124); // drop while a panic unwinds: getsid
    }
}

struct Local(i64);
impl Drop for Local {
    fn drop(&mut self) {
        raw(118); // drop of a thread's variable: getresuid
    }
}
thread_local! { static LOCAL: RefCell<Local> = RefCell::new(Local(raw(120))); } // first use of a thread's variable: getresgid

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |_| RawWaker::new(ptr::null(), &VTABLE),
    |_| { raw(36); }, // wake of a waker: getitimer
    |_| { raw(115); }, // wake by reference: getgroups
    |_| (),
);
struct Twice(bool);
impl Future for Twice {
    type Output = i64;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<i64> {
        if self.0 {
            return Poll::Ready(1);
        }
        self.0 = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
async fn work(n: i64) -> i64 {
    let got = Twice(false).await;
    got + n + raw(125) // async function after it was suspended: capget
}

struct Loud;
impl Write for Loud {
    fn write(&mut self, b: &[u8]) -> std::io::Result<usize> {
        raw(252); // writer of one's own: ioprio_get
        Ok(b.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
struct Shown;
impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        raw(291); // display: epoll_create1
        f.write_str("shown")
    }
}

#[inline(never)]
fn fail(v: &[i64], i: usize) -> i64 {
    let _g = Guard;
    v[i]
}

fn main() {
    let one = env::args().count(); // unknown to the compiler
    for kind in [one, one + 1] {
        let s = shape(kind);
        s.twice();
    }
    for (name, run) in COMMANDS.iter() {
        if !name.is_empty() {
            run();
        }
    }
    let mut by_name: HashMap<String, Box<dyn Fn(usize) -> i64>> = HashMap::new();
    by_name.insert("x".into(), Box::new(move |n| raw(290) + (n + one) as i64)); // boxed closure: eventfd2
    by_name["x"](2);

    let t = thread::spawn(|| {
        LOCAL.with(|l| l.borrow_mut().0 += 1);
        raw(283) // thread: timerfd_create
    });
    t.join().unwrap();
    if cfg!(panic = "unwind") {
        panic::set_hook(Box::new(|_| {
            raw(319); // hook of a panic: memfd_create
        }));
        let caught = panic::catch_unwind(|| fail(&[1], one));
        if caught.is_err() {
            raw(294); // after a panic: inotify_init1
        }
        let joined = thread::spawn(|| panic!("text")).join();
        if joined.unwrap_err().downcast_ref::<&str>() == Some(&"text") {
            raw(100); // what a panic carries: times
        }
    }
    let any: Box<dyn Any> = if one == 1 { Box::new(5u8) } else { Box::new("text") };
    if any.is::<u8>() {
        raw(98); // any: getrusage
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        raw(135); // once: personality
    });

    let waker = unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &VTABLE)) };
    let mut future: Pin<Box<dyn Future<Output = i64>>> = Box::pin(work(2));
    while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {}
    waker.wake();

    let mut out: Box<dyn Write> = Box::new(Loud);
    write!(out, "{}", Shown).unwrap();
    let mut v = vec![3, 1, 2];
    v.sort_by(|a, b| {
        raw(99); // comparison: sysinfo
        a.cmp(b)
    });
    let sum: i64 = v.iter().map(|n| n + raw(309)).sum(); // closure of an iterator: getcpu

    let pair = Arc::new((Mutex::new(false), Condvar::new()));
    let other = pair.clone();
    let (send, receive) = mpsc::channel();
    let waiter = thread::spawn(move || {
        *other.0.lock().unwrap() = true;
        other.1.notify_all();
        send.send(1).unwrap();
        thread::sleep(time::Duration::from_millis(1));
    });
    let mut ready = pair.0.lock().unwrap();
    while !*ready {
        ready = pair.1.wait_timeout(ready, time::Duration::from_secs(5)).unwrap().0;
    }
    drop(ready);
    receive.recv().unwrap();
    waiter.join().unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut c, _) = listener.accept().unwrap();
        c.write_all(b"hello\n").unwrap();
    });
    let c = TcpStream::connect(to).unwrap();
    c.set_nodelay(true).unwrap();
    let mut line = String::new();
    BufReader::new(c).read_line(&mut line).unwrap();
    server.join().unwrap();

    let dir = env::temp_dir().join(format!("sysgate-{}", process::id()));
    fs::create_dir_all(dir.join("a")).unwrap();
    fs::write(dir.join("a/file"), "42").unwrap();
    let mut text = String::new();
    fs::File::open(dir.join("a/file")).unwrap().read_to_string(&mut text).unwrap();
    for e in fs::read_dir(&dir).unwrap() {
        text += &e.unwrap().metadata().unwrap().len().to_string();
    }
    fs::remove_dir_all(&dir).unwrap();
    let child = process::Command::new("true").current_dir("/").status().unwrap();
    println!("{line}{} {child}", sum > 0);
}

// A program of C++ in which a number of its own gets to the kernel in each way that
// the language has to call something without naming it. Each call is made in one
// place only, and harmless; the test knows them by the comments "way: call".
#include <algorithm>
#include <any>
#include <array>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <streambuf>
#include <string>
#include <thread>
#include <typeinfo>
#include <variant>
#include <vector>

#include <sys/syscall.h>
#include <unistd.h>

#define APART __attribute__((noinline))

// raw makes a system call without the help of libc.
static inline __attribute__((always_inline)) long raw(long n) {
#ifdef __aarch64__
	register long x8 asm("x8") = n;
	register long x0 asm("x0") = 0;
	register long x1 asm("x1") = 0;
	register long x2 asm("x2") = 0;
	asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
#else
	long r;
	asm volatile("syscall" : "=a"(r) : "0"(n), "D"(0L), "S"(0L), "d"(0L) : "rcx", "r11", "memory");
	return r;
#endif
}

static volatile int one = 1; // unknown to the compiler

struct Shape {
	virtual ~Shape() = default;
	virtual long area() { return 0; }
};
struct Square : Shape {
	long area() override { return raw(SYS_getpriority); } // virtual function: getpriority
};
struct Named {
	virtual ~Named() = default;
	virtual long name() { return 0; }
};
struct Circle : Shape, Named {
	long name() override { return raw(SYS_sched_getparam); } // second base: sched_getparam
	~Circle() override { raw(SYS_sched_getscheduler); }      // virtual destructor: sched_getscheduler
};
struct Device {
	long id = 1;
	virtual ~Device() = default;
	virtual long open() { return 0; }
};
struct Reader : virtual Device {};
struct Writer : virtual Device {};
struct Disk : Reader, Writer {
	long open() override { return raw(SYS_sched_get_priority_max); } // virtual base: sched_get_priority_max
};

APART static Shape *shape(int kind) { return kind == 1 ? static_cast<Shape *>(new Square) : new Circle; }

struct Handler {
	APART long first() { return raw(SYS_sched_get_priority_min); } // pointer to a member: sched_get_priority_min
	virtual long second() { return raw(SYS_sched_rr_get_interval); } // pointer to a virtual member: sched_rr_get_interval
	virtual ~Handler() = default;
};
static long (Handler::*const members[])() = {&Handler::first, &Handler::second};

struct Before {
	Before() { raw(SYS_getpgid); } // static initialiser: getpgid
	~Before() { raw(SYS_getsid); } // static destructor: getsid
};
static Before before;

struct Local {
	Local() { raw(SYS_getresuid); }  // static variable of a function: getresuid
	~Local() { raw(SYS_getresgid); } // destructor of a thread's variable: getresgid
};
APART static void enter() {
	static Local once;
	static thread_local Local each;
	(void)once, (void)each;
}

struct Guard {
	~Guard() { raw(SYS_getitimer); } // destructor on the way of an exception: getitimer
};
struct Failure : std::runtime_error {
	Failure() : std::runtime_error("failure") {}
	const char *what() const noexcept override {
		raw(SYS_getgroups); // what() through its base: getgroups
		return "what";
	}
};
APART static void fail(int n) {
	Guard g;
	if (n)
		throw Failure();
}

using Plain = long (*)();
static const struct {
	const char *name;
	Plain run;
} commands[] = {
	{"a", [] { return raw(SYS_capget); }},      // lambda in a table: capget
	{"b", [] { return raw(SYS_ioprio_get); }},  // lambda in a table: ioprio_get
};

// A buffer of a stream, whose functions only the library calls.
struct Upper : std::streambuf {
	int_type overflow(int_type c) override {
		raw(SYS_epoll_create1); // function of a class of the library: epoll_create1
		return c;
	}
	int sync() override {
		raw(SYS_eventfd2); // flush of a stream: eventfd2
		return 0;
	}
};

struct Visitor {
	long operator()(int) { return raw(SYS_inotify_init1); }         // visitor of a variant: inotify_init1
	long operator()(const std::string &) { return raw(SYS_times); } // visitor of a variant: times
};

struct Held {
	~Held() { raw(SYS_getrusage); } // what an any holds: getrusage
	Held() = default;
	Held(const Held &) = default;
};

#ifdef __cpp_impl_coroutine
#include <coroutine>
struct Task {
	struct promise_type {
		Task get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
		std::suspend_always initial_suspend() noexcept { return {}; }
		std::suspend_always final_suspend() noexcept { return {}; }
		void return_void() {}
		void unhandled_exception() {}
	};
	std::coroutine_handle<promise_type> handle;
};
APART static Task work() {
	co_await std::suspend_always{};
	raw(SYS_personality); // coroutine after it was suspended: personality
}
#endif

static int compare(const void *a, const void *b) {
	raw(SYS_sysinfo); // comparison for qsort: sysinfo
	return *(const char *)a - *(const char *)b;
}

int main() {
	for (int i : {1, 2}) {
		Shape *s = shape(i);
		s->area();
		if (auto *n = dynamic_cast<Named *>(s))
			n->name();
		if (typeid(*s) == typeid(Square))
			raw(SYS_getcpu); // after typeid: getcpu
		delete s;
	}
	Writer *w = new Disk;
	w->open();
	delete w;
	Handler h;
	for (auto m : members)
		(h.*m)();

	enter();
	std::thread([] { enter(); raw(SYS_timerfd_create); }).join(); // thread: timerfd_create

	try {
		fail(one);
	} catch (std::exception &e) {
		std::cout << e.what() << std::endl;
	}
	try {
		std::vector<int>().at(one);
	} catch (std::out_of_range &) {
		raw(SYS_memfd_create); // handler of an exception of the library: memfd_create
	}

	for (auto &c : commands)
		c.run();
	std::map<std::string, std::function<long(int)>> by_name;
	int captured = one;
	by_name["x"] = [captured](int n) { return raw(SYS_membarrier) + n + captured; }; // function object: membarrier
	by_name["x"](2);

	Upper upper;
	std::ostream shout(&upper);
	shout << "text" << std::flush;

	std::variant<int, std::string> v;
	std::visit(Visitor{}, v);
	if (one)
		v = "text";
	std::visit(Visitor{}, v);

	std::any any = Held();
	any.reset();
	std::shared_ptr<int> counted(new int, [](int *p) { raw(SYS_get_mempolicy); delete p; }); // deleter: get_mempolicy
	counted.reset();

	std::future<long> f = std::async(std::launch::async, [] { return raw(SYS_sched_getattr); }); // async: sched_getattr
	f.get();
	std::once_flag flag;
	std::call_once(flag, [] { raw(SYS_getppid); }); // once: getppid
	std::mutex m;
	std::condition_variable cv;
	std::atomic<bool> ready = false;
	std::thread waiter([&] {
		std::unique_lock l(m);
		cv.wait(l, [&] { return ready.load(); });
	});
	{
		std::lock_guard l(m);
		ready = true;
	}
	cv.notify_all();
	waiter.join();

#ifdef __cpp_impl_coroutine
	Task t = work();
	t.handle.resume();
	t.handle.resume();
	t.handle.destroy();
#endif

	char text[] = "cba";
	qsort(text, 3, 1, compare);
	std::sort(text, text + 3, [](char a, char b) { raw(SYS_getuid); return a < b; }); // comparison for sort: getuid
	std::signal(SIGUSR1, [](int) { raw(SYS_timer_create); }); // handler of a signal: timer_create
	std::raise(SIGUSR1);
	std::atexit([] { raw(SYS_inotify_add_watch); }); // at exit: inotify_add_watch

	namespace fs = std::filesystem;
	fs::path dir = fs::temp_directory_path() / ("sysgate-" + std::to_string(getpid()));
	fs::create_directories(dir / "a");
	std::ofstream(dir / "a" / "file") << 42 << '\n';
	int number = 0;
	std::ifstream(dir / "a" / "file") >> number;
	for (auto &e : fs::recursive_directory_iterator(dir))
		number += e.is_regular_file() + fs::file_size(e.path(), *std::make_unique<std::error_code>()) % 2;
	fs::rename(dir / "a" / "file", dir / "b");
	fs::remove_all(dir);
	std::ostringstream out;
	out << std::hex << number << 1.5;
	std::cout << out.str() << '\n';
	return 0;
}

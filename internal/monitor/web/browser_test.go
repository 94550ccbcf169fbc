package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/audit"
	"github.com/sysgate/sysgate/internal/monitor"
	"github.com/sysgate/sysgate/internal/proc"
)

// browser starts a headless Chromium. quiet fails the test if a page has said something
// about an error until then: a script that throws, what the content policy stops.
func browser(t *testing.T) (ctx context.Context, quiet func()) {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("needs a browser: chromium is not installed (Debian: chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.Flag("disable-gpu", true),
		chromedp.WSURLReadTimeout(2*time.Minute))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // its sandbox is not for root
	}
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	var mu sync.Mutex
	var problems []string
	chromedp.ListenTarget(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			problems = append(problems, e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
				problems = append(problems, e.Entry.Text)
			}
		}
	})
	quiet = func() {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range problems {
			t.Errorf("the browser says: %s", p)
		}
		problems = nil
	}
	return ctx, quiet
}

// demonstration is a host on which several things went wrong in half an hour.
func demonstration(s *Server, now time.Time) {
	at := func(minutes float64) time.Time { return now.Add(-time.Duration(minutes * float64(time.Minute))) }
	write := func(e monitor.Event, p *proc.Process) {
		e.Process = p
		s.Write(e)
	}
	nginx := &proc.Process{Args: []string{"nginx:", "worker", "process"}, Place: proc.Place{Unit: "nginx.service"}}
	redis := &proc.Process{Args: []string{"/usr/bin/redis-server", "*:6379"}, Place: proc.Place{Container: strings.Repeat("4f1c0de2", 8), Runtime: "docker"}}
	for i := range 26 {
		write(violation("/usr/sbin/nginx", "io_uring_setup", abi.Errno, 1+i%4, at(29-float64(i)*1.1)), nginx)
	}
	write(violation("/usr/sbin/nginx", "getrandom", abi.Errno, 5, at(11)), nginx)
	write(violation("/usr/sbin/nginx", "ptrace", abi.KillProcess, 1, at(7.5)), nginx)
	for i := range 12 {
		write(violation("/usr/bin/redis-server", "membarrier", abi.Log, 6+i, at(16-float64(i))), redis)
	}
	write(violation("/usr/bin/redis-server", "memfd_create", abi.Log, 2, at(3)), redis)
	write(violation("/usr/bin/nc.traditional", "bind", abi.KillProcess, 1, at(2)), &proc.Process{Args: []string{"nc", "-l", "-p", "8000"}})
	write(violation("/opt/imports/bin/a-converter-with-quite-a-long-name --of-versions/2026.11.25/convert", "execve", abi.Errno, 14, at(1)), nil)
	s.Write(monitor.Event{Event: audit.Event{Loss: &audit.Loss{Records: 12, Reason: "the kernel's numbers have gaps"}}})
}

// TestBrowser opens the page as people do: it is live, fits narrow and dark screens,
// and does what its buttons say. SYSGATE_SCREENSHOTS=DIR keeps pictures.
func TestBrowser(t *testing.T) {
	s := New(Options{Host: "web1.example.org", Native: abi.AMD64})
	server := httptest.NewServer(s.Handler())
	ctx, quiet := browser(t)
	t.Cleanup(server.CloseClientConnections)
	demonstration(s, time.Now())
	text := func(selector string) (text string) {
		t.Helper()
		if err := chromedp.Run(ctx, chromedp.Text(selector, &text, chromedp.ByQuery)); err != nil {
			t.Fatalf("%s: %v", selector, err)
		}
		return text
	}
	truth := func(what, expression string) {
		t.Helper()
		var ok bool
		for range 200 {
			if err := chromedp.Run(ctx, chromedp.Evaluate(expression, &ok)); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if ok {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Errorf("not so: %s", what)
	}
	if err := chromedp.Run(ctx, chromedp.EmulateViewport(1280, 1000), chromedp.Navigate(server.URL+"/"), chromedp.WaitVisible(".program", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	truth("the page is live", `document.querySelector('#status-text').textContent === 'live'`)
	truth("four programs", `document.querySelectorAll('.program').length === 4`)
	if got := text("#total-killed"); got != "2" {
		t.Errorf("%s killed", got)
	}
	truth("the timeline is drawn", `document.querySelectorAll('#timeline rect.denied').length > 10`)
	truth("the timeline has words", `/violations in the last 30 minutes/.test(document.querySelector('#timeline').getAttribute('aria-label'))`)
	// Live: a violation comes, without loading anything again.
	s.Write(violation("/usr/bin/late", "bind", abi.Errno, 7, time.Now()))
	truth("a new program appears", `[...document.querySelectorAll('.program h3')].some((h) => h.textContent === '/usr/bin/late')`)
	// The change to a policy.
	var rule string
	click := `[...document.querySelectorAll('.program')].find((p) => p.textContent.includes('/usr/bin/late')).querySelector('details summary').click()`
	if err := chromedp.Run(ctx, chromedp.Evaluate(click, nil), chromedp.Evaluate(`document.querySelector('details[open] pre').textContent`, &rule)); err != nil {
		t.Fatal(err)
	}
	if rule != "- action: allow\n  names:\n  - bind # seen 7 times, errno: /usr/bin/late\n" {
		t.Errorf("the rule is %q", rule)
	}
	if err := chromedp.Run(ctx, chromedp.Click("details[open] .change button", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	truth("the button says what it did", `/Copied|Selected/.test(document.querySelector('details[open] .change button').textContent)`)
	// The filter, and the pause.
	if err := chromedp.Run(ctx, chromedp.SendKeys("#filter", "nginx ptrace", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	truth("the filter leaves one row", `[...document.querySelectorAll('.calls > li .row')].filter((r) => r.offsetParent !== null).length === 1`)
	truth("what is dangerous says so", `[...document.querySelectorAll('.apart')].some((e) => e.offsetParent !== null && /it reaches into other processes/.test(e.textContent))`)
	if err := chromedp.Run(ctx, chromedp.Evaluate(`{ const f = document.querySelector('#filter'); f.value = ''; f.dispatchEvent(new Event('input')); }`, nil),
		chromedp.Click("#pause", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	before := text("#total-violations")
	s.Write(violation("/usr/bin/late", "bind", abi.Errno, 1, time.Now()))
	time.Sleep(2 * pace)
	if got := text("#total-violations"); got != before {
		t.Errorf("a paused page moves from %s to %s", before, got)
	}
	if err := chromedp.Run(ctx, chromedp.Click("#pause", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	truth("it goes on", fmt.Sprintf(`document.querySelector('#total-violations').textContent !== %q`, before))
	// Every control has a name, and every text is readable on what is behind it.
	truth("buttons have names", `[...document.querySelectorAll('button, summary, input')].every((e) => (e.getAttribute('aria-label') || e.textContent || e.closest('label')?.textContent || '').trim() !== '')`)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 400} {
			err := chromedp.Run(ctx, chromedp.EmulateViewport(width, 1000),
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
			if err != nil {
				t.Fatal(err)
			}
			truth(fmt.Sprintf("nothing is wider than %d pixels", width), `document.documentElement.scrollWidth <= innerWidth`)
			var low []string
			if err := chromedp.Run(ctx, chromedp.Evaluate(lowContrast, &low)); err != nil {
				t.Fatal(err)
			}
			if len(low) > 0 {
				t.Errorf("%s, %d: hard to read: %q", scheme, width, low)
			}
			if dir := os.Getenv("SYSGATE_SCREENSHOTS"); dir != "" {
				var picture []byte
				if err := chromedp.Run(ctx, chromedp.FullScreenshot(&picture, 100)); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("monitor-%s-%d.png", scheme, width)), picture, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	quiet()
	// The monitor ends: the page says so.
	server.CloseClientConnections()
	server.Listener.Close()
	truth("the page says that the monitor is gone", `/does not answer/.test(document.querySelector('#status-text').textContent)`)
}

// TestBrowserToken opens the address with a token: it is out of the address at once, and
// the page is live by the cookie. Another site's page does not get the events.
func TestBrowserToken(t *testing.T) {
	s := New(Options{Host: "web1", Native: abi.AMD64, Token: NewToken()})
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!DOCTYPE html><link rel="icon" href="data:,"><script>
			const events = new EventSource(%q, { withCredentials: true });
			events.onmessage = () => { document.title = 'read'; };
			events.onerror = () => { document.title = 'refused'; };
		</script>`, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)+"/events")
	}))
	defer elsewhere.Close()
	ctx, quiet := browser(t)
	t.Cleanup(server.CloseClientConnections)
	s.Write(violation("/usr/bin/nc", "bind", abi.Errno, 1, time.Now()))
	var address, title string
	err := chromedp.Run(ctx, chromedp.Navigate(server.URL+"/?token="+s.o.Token), chromedp.WaitVisible(".program", chromedp.ByQuery), chromedp.Location(&address))
	if err != nil {
		t.Fatal(err)
	}
	if address != server.URL+"/" {
		t.Errorf("the address is %s", address)
	}
	quiet()
	if err := chromedp.Run(ctx, chromedp.Navigate(elsewhere.URL), chromedp.Poll(`document.title !== ''`, nil), chromedp.Title(&title)); err != nil {
		t.Fatal(err)
	}
	if title != "refused" {
		t.Errorf("another site's page: %s", title)
	}
}

// lowContrast lists texts whose contrast is less than 4.5 (WCAG 2.2, 1.4.3).
const lowContrast = `(() => {
  const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
  const light = ([r, g, b]) => [r, g, b].map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; })
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const back = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] > 0.99) return c; } return [255, 255, 255, 1]; };
  const low = [];
  for (const e of document.querySelectorAll('body *')) {
    if (e.closest('noscript, script, style, .hidden, .skip') || e.offsetParent === null) continue;
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    const a = light(parse(getComputedStyle(e).color)), b = light(back(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(e.textContent.trim().slice(0, 40) + ' ' + ratio.toFixed(2));
  }
  return [...new Set(low)];
})()`

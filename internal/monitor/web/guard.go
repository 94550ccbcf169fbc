package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
)

// NewToken returns a token that nobody guesses.
func NewToken() string { return rand.Text() }

// cookie is the name under which a browser keeps the token. Cookies are for a host, not
// for a port: two monitors of a machine share them, so that it has the port.
func cookie(r *http.Request) string {
	_, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		port = "80"
	}
	return "sysgate-" + port
}

// guard lets requests through that may see the page, and adds the headers that keep
// what it says from others.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, h := range [][2]string{
			{"X-Content-Type-Options", "nosniff"},
			{"X-Frame-Options", "DENY"},
			{"Referrer-Policy", "no-referrer"},
			{"Cross-Origin-Opener-Policy", "same-origin"},
			{"Cross-Origin-Resource-Policy", "same-origin"},
			{"Cache-Control", "no-store"},
		} {
			w.Header().Set(h[0], h[1])
		}
		if s.o.Token == "" && !loopbackHost(r.Host) {
			http.Error(w, "this page is for localhost: the request names another host", http.StatusMisdirectedRequest)
			return
		}
		if foreign(r) {
			http.Error(w, "the request comes from another page", http.StatusForbidden)
			return
		}
		if s.o.Token != "" {
			if given := r.URL.Query().Get("token"); r.URL.Path == "/" && s.is(given) {
				http.SetCookie(w, &http.Cookie{Name: cookie(r), Value: given, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
				http.Redirect(w, r, "/", http.StatusSeeOther) // out of the address, which is kept and shown
				return
			}
			if c, err := r.Cookie(cookie(r)); err != nil || !s.is(c.Value) {
				http.Error(w, "open the address that the monitor printed: it has a token", http.StatusUnauthorized)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// is compares a token in a time that says nothing.
func (s *Server) is(given string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.o.Token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// loopbackHost reports whether a Host header names this machine's loopback.
func loopbackHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}

// foreign reports whether another site's page makes a request: by what browsers say
// of it, which a page cannot change. Following a link is no such request, but for
// what only the page itself asks for.
func foreign(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host && origin != "https://"+r.Host {
		return true
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return false
	}
	return r.URL.Path != "/" || r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
}

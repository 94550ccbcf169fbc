// Package web is the monitor's page: violations as they happen, by program and call,
// over time, each with the change to a policy that would admit it.
//
//	s := web.New(web.Options{Host: "web1", Native: abi.Native()})
//	options.Sink = monitor.Tee(options.Sink, s) // it is a sink
//	server := &http.Server{Handler: s.Handler()}
//
// The page is one file without anything from elsewhere. It follows "/events"
// (server-sent events): first all that is known, then what has changed, four times a
// second at most, however fast violations come.
//
// Without a token a request has to name a loopback address or localhost as its host:
// a page from elsewhere whose name was made to point here (DNS rebinding) does not.
// With a token, which a server that others can reach must have, the address of the
// page carries it once, and a cookie from then on.
//
// # Limits
//
// What is kept is bounded: [MaxGroups] kinds of violations, the latest [MaxRecent] events,
// half an hour of the timeline. There is no TLS: that is for a proxy.
package web

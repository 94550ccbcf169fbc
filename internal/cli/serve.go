package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// listenOn listens on an address of the flag called flag: HOST:PORT, or :PORT for
// this machine only. local reports that nobody else can connect.
func listenOn(flag, address string) (l net.Listener, local bool, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, false, usageError(withHint(fmt.Errorf("%s: %w", flag, err), "%s 127.0.0.1:0", flag))
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if l, err = net.Listen("tcp", net.JoinHostPort(host, port)); err != nil {
		return nil, false, fmt.Errorf("%s: %w", flag, err)
	}
	tcp, ok := l.Addr().(*net.TCPAddr)
	return l, ok && tcp.IP.IsLoopback(), nil
}

// serve serves until the returned function is called, which waits for a moment until
// requests have ended.
func serve(l net.Listener, handler http.Handler) (stop func() error) {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			server.Close() // readers of events do not end by themselves
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

// Beat is a small service in the manner of libbeat: it observes its machine,
// serves what it sees as JSON, and runs under a seccomp policy that was made from
// its own binary. README.md says how.
//
//	beat [-c FILE] [-listen ADDRESS]
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	// Registers the policy of the service.
	_ "github.com/sysgate/sysgate/examples/beat/include"
	"github.com/sysgate/sysgate/seccomp/registry"
)

func main() {
	file := flag.String("c", "", "read the configuration from `FILE`, JSON")
	address := flag.String("listen", "localhost:0", "serve at `ADDRESS`")
	flag.Parse()
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if err := run(*file, *address, logger); err != nil {
		logger.Error("beat ends", "error", err)
		os.Exit(1)
	}
}

func run(file, address string, logger *slog.Logger) error {
	config, err := configuration(file)
	if err != nil {
		return err
	}
	if _, err := registry.LoadFilter(config, registry.Options{Logger: logger}); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: http.HandlerFunc(serveEvent), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() {
		timeout, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(timeout)
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// configuration returns what unpacks the configuration in file; nil if there is
// no file. Its key seccomp is what the registry looks at.
func configuration(file string) (func(any) error, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return func(to any) error { return json.Unmarshal(data, to) }, nil
}

func serveEvent(w http.ResponseWriter, _ *http.Request) {
	e, err := collect()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(e)
}

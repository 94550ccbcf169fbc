// Httpget prints what it gets from the URLs it is given, each also as the
// answer to a request that carries a body. It trusts every certificate: it is
// for tests.
package main

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	client := &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
	for _, url := range os.Args[1:] {
		print(client.Get(url))
		print(client.Post(url, "text/plain", strings.NewReader(strings.Repeat("sysgate ", 10_000))))
	}
}

func print(r *http.Response, err error) {
	if err != nil {
		log.Fatal(err)
	}
	defer r.Body.Close()
	if _, err := io.Copy(os.Stdout, r.Body); err != nil {
		log.Fatal(err)
	}
}

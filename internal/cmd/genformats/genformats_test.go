package main

import (
	"os"
	"testing"
)

// TestPage checks that the committed page is what the table and the proofs make.
func TestPage(t *testing.T) {
	got, err := page()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("docs/formats.md is not up to date: go generate ./internal/convert")
	}
}

package policy

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sysgate/sysgate/abi"
)

func TestParseFS(t *testing.T) {
	files := fstest.MapFS{
		"policies/web.yaml": {Data: []byte("default_action: errno\nsyscalls:\n- action: allow\n  names: [read]\n")},
		"policies/bad.yaml": {Data: []byte("default_action: errno\nsyscalls:\n- actoin: allow\n  names: [read]\n")},
	}
	p, err := ParseFS(files, "policies/web.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if p.Default.Kind != abi.Errno || len(p.Rules) != 1 || p.Rules[0].Pos.File != "policies/web.yaml" {
		t.Errorf("ParseFS = %+v", p)
	}
	_, err = ParseFS(files, "policies/bad.yaml")
	var bad *Error
	if !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), "policies/bad.yaml:3:3: ") {
		t.Errorf("ParseFS of a bad file: %v", err)
	}
	if _, err = ParseFS(files, "policies/none.yaml"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "policies/none.yaml") {
		t.Errorf("ParseFS of no file: %v", err)
	}
}

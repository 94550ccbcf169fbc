package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// TestJSONForms reads one record in every form of JSON that tools print.
func TestJSONForms(t *testing.T) {
	const text = `audit: type=1326 audit(1592235512.578:148): auid=1000 uid=1000 gid=1000 ses=4 pid=6939 comm="nc" exe="/usr/bin/nc" sig=31 arch=c000003e syscall=49 compat=0 ip=0x7f67398a0497 code=0x0`
	message, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	entry := fmt.Sprintf(`{"_TRANSPORT" : "kernel", "MESSAGE" : %s}`, message)
	pretty := fmt.Sprintf("{\n\t\"_TRANSPORT\" : \"kernel\",\n\t\"MESSAGE\" : %s\n}\n", message)
	for _, tt := range []struct {
		name, log            string
		violations, problems int
	}{
		{"json", entry, 1, 0},
		{"json-seq", "\x1e" + entry + "\n\x1e" + entry, 2, 0},
		{"json-sse", "data: " + entry + "\n\n", 1, 0},
		{"json-pretty", pretty + pretty, 2, 0},
		{"dmesg --json", fmt.Sprintf("{\n   \"dmesg\": [\n      {\n         \"pri\": 5,\n         \"time\":  535.1,\n         \"msg\": %s\n      },{\n         \"pri\": 6,\n         \"msg\": \"other\"\n      },{\n         \"pri\": 13,\n         \"msg\": %[1]s\n      },{\n         \"pri\": 5,\n         \"msg\": %[1]s\n      }\n   ]\n}\n", message), 2, 0},
		{"nested objects", "{\n  \"a\": {\n    \"b\": 1\n  },\n  \"_TRANSPORT\": \"kernel\",\n  \"MESSAGE\": " + string(message) + "\n}\n", 1, 0},
		{"cut off, and a record", "{\n\t\"_TRANSPORT\" : \"kernel\",\n" + text + "\n", 1, 1},
		{"cut off, and another", "{\n\t\"_TRANSPORT\" : \"kernel\",\n" + pretty, 1, 1},
		{"cut off at the end", "{\n\t\"_TRANSPORT\" : \"kernel\",\n", 0, 1},
	} {
		r := NewReader(strings.NewReader(tt.log), Options{Native: abi.AMD64})
		violations, problems := 0, 0
		for {
			e, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			switch {
			case e.Violation != nil:
				violations++
				if v := e.Violation; v.Name != "bind" || v.PID != 6939 || v.Serial != 148 {
					t.Errorf("%s: %+v", tt.name, v)
				}
			case e.Problem != nil:
				problems++
			}
		}
		if got := violations + r.Duplicates(); got != tt.violations || problems != tt.problems {
			t.Errorf("%s: %d violations and %d problems, want %d and %d", tt.name, got, problems, tt.violations, tt.problems)
		}
	}
}

package monitor

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// encode writes a map as encoding/json does, which a document has to match.
func encode(t testing.TB, v any) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestDocument(t *testing.T) {
	var base, d document
	base.set("host.name", "a")
	base.set("host.os.name", "b")
	base.set("x", "y")
	d.set("user.id", "1")
	d.set("user.audit.id", "2")
	d.set("user.audit.name", "nobody")
	d.set("user_", true)
	d.set("nothing", "")
	d.set("none", []string(nil))
	d.add(&base)
	d.set("list", []string{"a", "b\"<>&\u2028\x00\xff"})
	d.set("@timestamp", "z")
	d.set("user.id", "last")
	d.set("deep.er.and.deeper", 1)
	d.set("deep.er.z", uint64(1<<63))
	d.set("float", 0.5)
	want := encode(t, map[string]any{
		"@timestamp": "z", "x": "y", "user_": true, "float": 0.5,
		"list": []string{"a", "b\"<>&\u2028\x00\xff"},
		"host": map[string]any{"name": "a", "os": map[string]any{"name": "b"}},
		"user": map[string]any{"id": "last", "audit": map[string]any{"id": "2", "name": "nobody"}},
		"deep": map[string]any{"er": map[string]any{"and": map[string]any{"deeper": 1}, "z": uint64(1 << 63)}},
	})
	if got := string(d.appendTo(nil)); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	d.drop("host.")
	if got := string(d.appendTo([]byte(">"))); strings.Contains(got, "host") || !strings.HasPrefix(got, ">{") || !strings.Contains(got, `"x":"y"`) {
		t.Error(got)
	}
	d.reset()
	if got := string(d.appendTo(nil)); got != "{}" {
		t.Error(got)
	}
}

func FuzzDocumentString(f *testing.F) {
	f.Add("a", "\x7f\u2029\"\\")
	f.Fuzz(func(t *testing.T, x, y string) {
		var d document
		d.set("a.x", x)
		d.set("a.y", []string{y})
		members := map[string]any{"y": []string{y}}
		if x != "" {
			members["x"] = x
		}
		if got, want := string(d.appendTo(nil)), encode(t, map[string]any{"a": members}); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

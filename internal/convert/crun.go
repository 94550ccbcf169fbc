package convert

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// crunAnnotation holds a raw filter in base64, which crun then takes instead of
// the specification's profile (crun(1)).
const crunAnnotation = "run.oci.seccomp_bpf_data"

var formatCrun = filterFormat("crun", "", "annotation with a raw filter, for crun", isCrun,
	parseCrun, func(p bpf.Program, bigEndian bool) ([]byte, error) {
		text := base64.StdEncoding.EncodeToString(p.Bytes(bigEndian))
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetIndent("", "  ")
		err := encoder.Encode(map[string]map[string]string{"annotations": {crunAnnotation: text}})
		return b.Bytes(), err
	})

// crunFilter returns the annotation of data, a specification or what of it has
// annotations.
func crunFilter(data []byte) (text string, ok bool) {
	var file struct {
		Annotations map[string]json.RawMessage `json:"annotations"`
	}
	if json.Unmarshal(data, &file) != nil || json.Unmarshal(file.Annotations[crunAnnotation], &text) != nil {
		return "", false
	}
	return text, true
}

func isCrun(data []byte) bool {
	if !bytes.Contains(data, []byte(crunAnnotation)) {
		return false
	}
	_, ok := crunFilter(data)
	return ok
}

func parseCrun(data []byte, native abi.ABI) (bpf.Program, bool, error) {
	text, ok := crunFilter(data)
	if !ok {
		return nil, false, errors.New("no annotation " + crunAnnotation + " with a text")
	}
	return parseBase64([]byte(text), native)
}

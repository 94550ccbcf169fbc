package build

import (
	"fmt"

	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// An UnprovedError says why the program compiled for a policy is not used.
type UnprovedError struct {
	Result proof.Result // its Verdict is Different or Unknown
	Call   string       // where Different: the witness in the notation of calls
}

func (e *UnprovedError) Error() string {
	if e.Result.Verdict == proof.Different {
		return fmt.Sprintf("compiled program is not the policy: %s gets %v, should get %v", e.Call, e.Result.Got, e.Result.Want)
	}
	return "program is not proved equal to the policy: " + e.Result.Reason
}

func unproved(result proof.Result) *UnprovedError {
	e := &UnprovedError{Result: result}
	if result.Verdict == proof.Different {
		e.Call = policy.FormatCall(result.Witness)
	}
	return e
}

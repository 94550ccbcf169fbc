package policy_test

import (
	"testing"

	"github.com/sysgate/sysgate/policytest"
)

func TestMain(m *testing.M) { policytest.Main(m) }

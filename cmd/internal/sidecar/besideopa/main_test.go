// Package besideopa_test compares a sidecar with OPA, started by the same configuration. It is a package of its own since OPA's
// plugins are a large part of its program.
package besideopa_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

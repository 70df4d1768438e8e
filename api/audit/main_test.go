package audit_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// appenderEnv makes the test binary a process that appends to the database at this path until it is killed.
const appenderEnv = "AUDIT_TEST_APPENDS_TO"

func TestMain(m *testing.M) {
	if path := os.Getenv(appenderEnv); path != "" {
		if err := appendUntilKilled(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

package audit_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// These make the test binary another process: one that appends to the database there until it is
// killed, or until the file may not grow.
const (
	appenderEnv = "AUDIT_TEST_APPENDS_TO"
	limitedEnv  = "AUDIT_TEST_MAY_NOT_GROW"
)

func TestMain(m *testing.M) {
	for name, run := range map[string]func(string) error{appenderEnv: appendUntilKilled, limitedEnv: appendUntilLimited} {
		if path := os.Getenv(name); path != "" {
			if err := run(path); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

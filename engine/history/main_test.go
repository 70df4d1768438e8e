//go:build unix

package history_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// saverEnv, set to a directory, makes the test binary a process that saves there until it is killed.
const saverEnv = "HISTORY_TEST_SAVES_INTO"

func TestMain(m *testing.M) {
	if dir := os.Getenv(saverEnv); dir != "" {
		fmt.Fprintln(os.Stderr, saveUntilKilled(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

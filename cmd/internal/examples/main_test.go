// Package examples_test runs what docs/examples has, as it stands there, against the built program.
package examples_test

import (
	"fmt"
	"os"
	"testing"

	"defenseclaw/cmd/internal/cli"
	"defenseclaw/cmd/internal/reviewer"
	"defenseclaw/worker"

	"go.uber.org/goleak"
)

// programVariable makes this test's binary the program.
const programVariable = "EXAMPLES_PROGRAM"

// root is the folder of the examples.
const root = "../../../docs/examples/"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" || worker.Asked() || reviewer.Asked() {
		os.Exit(cli.Main(os.Args))
	}
	if os.Getenv(envoyVariable) != "" {
		if err := beEnvoy(); err != nil {
			fmt.Fprintln(os.Stderr, "envoy:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

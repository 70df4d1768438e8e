package main

import (
	"os"
	"testing"

	"defenseclaw/cmd/internal/cli"

	"go.uber.org/goleak"
)

// asSidecar is the environment variable that makes the test binary act as the sidecar, so that the tests
// measure the code they are built with.
const asSidecar = "POLICYBENCH_TEST_AS_SIDECAR"

func TestMain(m *testing.M) {
	if os.Getenv(asSidecar) != "" {
		os.Exit(cli.Main(os.Args))
	}
	goleak.VerifyTestMain(m)
}

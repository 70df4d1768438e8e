package main

import (
	"os"
	"testing"

	"defenseclaw/cmd/internal/cli"

	"go.uber.org/goleak"
)

// asSidecar has the test binary be the sidecar, so that the one that is tested is the one that is measured.
const asSidecar = "POLICYBENCH_TEST_AS_SIDECAR"

func TestMain(m *testing.M) {
	if os.Getenv(asSidecar) != "" {
		os.Exit(cli.Main(os.Args))
	}
	goleak.VerifyTestMain(m)
}

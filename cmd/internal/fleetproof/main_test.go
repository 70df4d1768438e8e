// Package fleetproof_test shows what a fleet promises, with real brokers in processes of their own, the built program, and
// agents by the thousand; and measures it. docs/explanation/fleet.md has the numbers, docs/reference/fleet.md what each failure looks like.
package fleetproof_test

import (
	"flag"
	"os"
	"testing"

	"defenseclaw/cmd/internal/cli"
	"defenseclaw/cmd/internal/fleet/broker"
	"defenseclaw/cmd/internal/reviewer"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/worker"

	"go.uber.org/goleak"
)

var (
	sizes    = flag.String("sizes", "", "measure fleets of `N,N,...` agents: make bench-fleet")
	modules  = flag.Int("modules", 5000, "measure a sidecar with `N` modules, too; 0: none")
	jsonFile = flag.String("json", "", "write what was measured to `FILE` as JSON")
)

// programVariable makes this test's binary the program.
const programVariable = "FLEETPROOF_PROGRAM"

func TestMain(m *testing.M) {
	fleettest.Main()
	if os.Getenv(programVariable) != "" || worker.Asked() || reviewer.Asked() {
		os.Exit(cli.Main(os.Args, broker.Run))
	}
	goleak.VerifyTestMain(m)
}

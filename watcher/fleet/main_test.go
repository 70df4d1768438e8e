package fleet_test

import (
	"testing"

	"defenseclaw/watcher/fleet/fleettest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	fleettest.Main()
	victim()
	goleak.VerifyTestMain(m)
}

package gcpacer_test

import (
	"runtime/debug"
	"testing"

	"defenseclaw/cmd/internal/gcpacer"
)

func TestAPolicyMayTakeHalfOfWhatGoMayTake(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	const limit = 48 << 20
	debug.SetMemoryLimit(limit)
	if got := gcpacer.ForPolicy(func(string) string { return "48MiB" }); got != limit/2 {
		t.Errorf("with GOMEMLIMIT: %d", got)
	}
	// The program sets the same limit by itself, which says nothing about what its operator permits.
	if got, want := gcpacer.ForPolicy(func(string) string { return "" }), int64(gcpacer.Memory()/2); got != want {
		t.Errorf("without it: %d; want %d", got, want)
	}
}

package reviewer_test

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"

	"defenseclaw/cmd/internal/reviewer"
)

// TestAProcessThatCannotBeStartedIsIncomplete leaves this process no descriptor for the pipes of another one.
func TestAProcessThatCannotBeStartedIsIncomplete(t *testing.T) {
	r := start(t, func(cfg *reviewer.Config) { cfg.Steps = reviewer.Steps() })
	base := loadFiles(t, pack(10), side{})
	candidate := loadFiles(t, pack(5), base)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ask := reviewer.Ask{Steps: []string{reviewer.Tests}, Tests: candidate.tests, TestsBefore: base.tests}

	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	next, err := os.Open(os.DevNull) // its descriptor is the lowest that is free
	if err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = uint64(next.Fd())
	next.Close()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	e := r.Review(ctx, base.g, candidate.g, ask)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if e.Tests != nil || len(e.Incomplete) != 1 || !strings.HasPrefix(e.Incomplete[0], "tests: the reviewer could not be started") {
		t.Fatalf("%+v; %q", e.Tests, e.Incomplete)
	}
	if h := r.Health(); h.Up || !strings.HasPrefix(h.Fault.Reason, "the reviewer could not be started") || h.FaultAt.IsZero() {
		t.Errorf("%+v", h)
	}
	if e := r.Review(ctx, base.g, candidate.g, ask); e.Tests == nil || len(e.Incomplete) > 0 {
		t.Errorf("once it can be started: %+v; %q", e.Tests, e.Incomplete)
	}
}

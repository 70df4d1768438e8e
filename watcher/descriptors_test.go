//go:build unix

package watcher

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// takeDescriptors lets this process open nothing until the returned function was called.
func takeDescriptors(t *testing.T) (free func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	free = func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) }
	t.Cleanup(free)
	if f, err := os.Open(os.DevNull); err == nil {
		f.Close()
		t.Skip("a limit of 0 open files does not hold here")
	}
	return free
}

// TestAScanWithoutDescriptorsForgetsNothing: the files that it cannot list are there.
func TestAScanWithoutDescriptorsForgetsNothing(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		free := takeDescriptors(t)
		r.expectNothingFor(DefaultSafetyInterval + time.Second)
		health := r.w.Health()
		if health.Mode != ModePoll || !strings.Contains(health.Reason, "no file descriptor is left to list .") || health.State != StateWatching {
			t.Errorf("%+v", health)
		}
		free()
		write(t, filepath.Join(r.dir, "q.rego"), "1")
		if c := <-r.out; len(c.Paths) != 1 || c.Paths[0] != "q.rego" {
			t.Errorf("%+v; want the new file alone", c)
		}
		if health := r.w.Health(); health.Mode != ModeNotify || health.Reason != "" {
			t.Errorf("%+v", health)
		}
	})
}

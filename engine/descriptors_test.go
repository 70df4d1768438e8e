package engine_test

import (
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"defenseclaw/engine"
)

// starving is a directory in memory. While errno is not 0, opening what refuses names fails with it.
type starving struct {
	fstest.MapFS
	refuses string // "": the directory itself
	errno   *atomic.Uint32
}

func (s starving) fail(name string) error {
	if errno := syscall.Errno(s.errno.Load()); errno != 0 && name == s.refuses {
		return &os.PathError{Op: "openat", Path: name, Err: errno}
	}
	return nil
}

func (s starving) Open(name string) (fs.File, error) {
	if err := s.fail(name); err != nil {
		return nil, err
	}
	return s.MapFS.Open(name)
}

func (s starving) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := s.fail(name); err != nil {
		return nil, err
	}
	return s.MapFS.ReadDir(name)
}

func (s starving) Stat(name string) (fs.FileInfo, error) {
	if err := s.fail(name); err != nil {
		return nil, err
	}
	return s.MapFS.Stat(name)
}

// starved calls body for each place at which a reading may run out of descriptors. The engine serves good,
// and its source holds better from then on.
func starved(t *testing.T, body func(t *testing.T, e *engine.Engine, errno *atomic.Uint32)) {
	for name, refuses := range map[string]string{
		"the directory": "", "listing it": ".", "its rego folder": "rego", "a file": "p.rego", "a folder": "lib", "a folder's file": "lib/q.rego",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				errno, edited := new(atomic.Uint32), new(atomic.Bool)
				e := run(t, engine.Config{Source: func() (fs.FS, error) {
					files := fstest.MapFS{"p.rego": {Data: []byte(good)}, "lib/q.rego": {Data: []byte("package q\n")}}
					if edited.Load() {
						files["p.rego"] = &fstest.MapFile{Data: []byte(better), ModTime: time.Now()}
					}
					s := starving{files, refuses, errno}
					return s, s.fail("")
				}})
				if report := reload(t, e, engine.TriggerStartup); report.Result != engine.Success {
					t.Fatal(report.Refused)
				}
				edited.Store(true)
				body(t, e, errno)
				if got := e.Current().Number(); got != 2 {
					t.Errorf("generation %d serves, want the edit", got)
				}
				if status := e.Status(); status.State != engine.StateCurrent {
					t.Errorf("%s: %v", status.State, status.Refused)
				}
			})
		})
	}
}

func TestAReloadWaitsForDescriptors(t *testing.T) {
	starved(t, func(t *testing.T, e *engine.Engine, errno *atomic.Uint32) {
		errno.Store(uint32(syscall.EMFILE))
		time.AfterFunc(20*time.Second, func() {
			if state := e.Status().State; state != engine.StateCurrent {
				t.Errorf("%s while it waits", state)
			}
			errno.Store(0)
		})
		if report := reload(t, e, engine.TriggerAPI); report.Result != engine.Success {
			t.Errorf("%s: %v", report.Result, report.Refused)
		}
	})
}

func TestStaleEndsByItselfWhenDescriptorsAreFree(t *testing.T) {
	starved(t, func(t *testing.T, e *engine.Engine, errno *atomic.Uint32) {
		errno.Store(uint32(syscall.ENFILE))
		if report := reload(t, e, engine.TriggerWatch, "p.rego"); report.Result != engine.Failed {
			t.Errorf("%s without descriptors", report.Result)
		}
		if state := e.Status().State; state != engine.StateStale {
			t.Errorf("%s after a minute without descriptors", state)
		}
		time.Sleep(10 * time.Minute)
		errno.Store(0)
		time.Sleep(3 * time.Second)
		synctest.Wait()
	})
}

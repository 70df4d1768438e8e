package history_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"defenseclaw/engine"
	"defenseclaw/engine/history"
)

// smallDisk mounts a file system of the given size in bytes.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("SKIPPED: no file system can be mounted here, which takes the superuser: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskKeepsEntriesAndRecovers(t *testing.T) {
	disk := smallDisk(t, "size=64k")
	s := newStore(t, history.Config{Dir: filepath.Join(disk, "history")})
	first := save(t, s, version(t, 1))
	heavy := files{"p.rego": good, "data.json": fmt.Sprintf("{\"x\": %q}", noise(400<<10))}
	big := load(t, heavy.fs())
	if _, err := s.Save(t.Context(), big); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%v; want ENOSPC", err)
	}
	if got := names(t, s.Dir()); !slices.Equal(got, []string{first.Name}) {
		t.Errorf("left %v", got)
	}
	if found, err := s.Newest(t.Context(), nil); err != nil || found.Entry != first {
		t.Errorf("%+v, %v", found.Entry, err)
	}
	save(t, s, version(t, 2)) // there is room for a small one

	k := newKeeper(t, history.KeeperConfig{Store: s})
	inBackground(t, k.Run)
	src := edit(heavy)
	e := runEngine(t, engine.Config{Source: src.open, Announcements: []engine.Announcement{{Name: "history", Run: k.Announce}}})
	if report := reload(t, e, engine.TriggerStartup); report.Result != engine.Success || report.Outcome("history") != nil {
		t.Errorf("a full disk hurt the reload: %s, %v", report.Result, report.Outcome("history"))
	}
	eventually(t, "health tells of the full disk", func() bool { return errors.Is(k.Health().Err, syscall.ENOSPC) })
	if err := syscall.Mount("none", disk, "tmpfs", syscall.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	reload(t, e, engine.TriggerAPI)
	eventually(t, "it is kept now", func() bool { h := k.Health(); return h.Err == nil && h.Revision == big.Revision() })
}

func TestAReadOnlyDiskIsReadAndReported(t *testing.T) {
	disk := smallDisk(t, "size=1m")
	s := newStore(t, history.Config{Dir: disk})
	first := save(t, s, version(t, 1))
	if err := os.WriteFile(filepath.Join(disk, ".saving-1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if e := save(t, s, version(t, 1)); e != first {
		t.Errorf("%+v; want what is kept already to be no error", e)
	}
	if _, err := s.Save(t.Context(), version(t, 2)); !errors.Is(err, syscall.EROFS) {
		t.Errorf("%v; want EROFS", err)
	}
	if found, err := s.Newest(t.Context(), nil); err != nil || found.Entry != first {
		t.Errorf("%+v, %v", found.Entry, err)
	}
}

package recorder_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"defenseclaw/api/recorder"
	"defenseclaw/engine"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// recorded runs a recorder with some decisions and stops it.
func recorded(t *testing.T, cfg recorder.Config, inputs ...string) *running {
	t.Helper()
	g := load(t, map[string]string{"p.rego": policy})
	r := run(t, cfg)
	for _, input := range inputs {
		r.decide(g, "app/allow", input)
	}
	r.snapshot()
	r.stop()
	return r
}

func TestRecordsOutliveARestart(t *testing.T) {
	for name, key := range map[string][]byte{"plain": nil, "sealed": bytes.Repeat([]byte{7}, 32)} {
		t.Run(name, func(t *testing.T) {
			cfg := config(nil)
			cfg.Dir, cfg.Key = filepath.Join(t.TempDir(), "a", "b"), key
			recorded(t, cfg, `{"user":"alice"}`, `{"user":"eve"}`)
			info, err := os.Stat(fileIn(cfg.Dir))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Fatalf("%v, %v", info, err)
			}
			text, err := os.ReadFile(fileIn(cfg.Dir))
			if err != nil || (key != nil) != bytes.HasPrefix(text, []byte("DCREC1\n")) {
				t.Fatalf("%q, %v", text, err)
			}
			again := run(t, cfg)
			eventually(t, "the records are read", func() bool { return again.Health().Records == 2 })
			if all := again.snapshot(); all.Strata != 2 || all.Seen != 2 || len(all.Records) != 2 {
				t.Errorf("after a restart: %+v", all)
			}
			again.stop()
			if err := again.Clear(); err != nil {
				t.Fatal(err)
			}
			if left, err := os.ReadDir(cfg.Dir); err != nil || len(left) != 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

func TestADamagedFileIsPutAside(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	damage := map[string]func([]byte) []byte{
		"cut short": func(text []byte) []byte { return text[:len(text)/2] },
		"changed":   func(text []byte) []byte { text[len(text)-12] ^= 1; return text },
		"text":      func([]byte) []byte { return []byte("hello\n") },
		"empty":     func([]byte) []byte { return nil },
	}
	for name, change := range damage {
		for _, key := range [][]byte{nil, key} {
			cfg := config(nil)
			cfg.Dir, cfg.Key = t.TempDir(), key
			recorded(t, cfg, `{"user":"alice"}`)
			text, err := os.ReadFile(fileIn(cfg.Dir))
			if err != nil {
				t.Fatal(err)
			}
			damaged := change(text)
			if err := os.WriteFile(fileIn(cfg.Dir), damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			core, logged := observer.New(zap.WarnLevel)
			cfg.Logger = zap.New(core)
			recorded(t, cfg, `{"user":"eve"}`, `{"user":"eve"}`)
			if aside, err := os.ReadFile(fileIn(cfg.Dir) + ".damaged"); err != nil || !bytes.Equal(aside, damaged) || logged.Len() != 1 {
				t.Errorf("%s: put aside %q, %v; logged %v", name, aside, err, logged.All())
			}
			cfg.Logger = nil
			again := run(t, cfg)
			eventually(t, "recording began anew", func() bool { return again.Health().Records == 2 })
			again.stop()
		}
	}
}

func TestAFileOfAnotherKeyIsPutAside(t *testing.T) {
	cfg := config(nil)
	cfg.Dir, cfg.Key = t.TempDir(), bytes.Repeat([]byte{7}, 32)
	recorded(t, cfg, `{"user":"alice"}`)
	for _, key := range [][]byte{bytes.Repeat([]byte{8}, 32), nil} {
		text, err := os.ReadFile(fileIn(cfg.Dir))
		if err != nil {
			t.Fatal(err)
		}
		other := cfg
		other.Key = key
		if r := recorded(t, other); r.Health().Records != 0 {
			t.Errorf("%d records were read", r.Health().Records)
		}
		if err := os.WriteFile(fileIn(cfg.Dir), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range [][]byte{{1}, make([]byte, 16)} {
		wrong := cfg
		wrong.Key = key
		if _, err := recorder.New(wrong); err == nil {
			t.Errorf("a key of %d bytes is taken", len(key))
		}
	}
}

// TestADirectoryThatCannotBeWrittenCostsNoDecision stands for a full disk, too: a file is where the directory would be.
func TestADirectoryThatCannotBeWrittenCostsNoDecision(t *testing.T) {
	cfg := config(nil)
	cfg.Dir, cfg.SaveEvery = filepath.Join(t.TempDir(), "file", "dir"), 10*time.Millisecond
	if err := os.WriteFile(filepath.Dir(cfg.Dir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g := load(t, map[string]string{"p.rego": policy})
	r := run(t, cfg)
	r.decide(g, "app/allow", `{"user":"alice"}`)
	eventually(t, "a save failed", func() bool { return r.Health().Dropped[recorder.DroppedDisk] > 0 && r.Health().Err != nil })
	r.decide(g, "app/allow", `{"user":"alice"}`)
	if all := r.snapshot(); len(all.Records) != 2 {
		t.Errorf("recorded: %+v", all.Records)
	}
	if err := os.Remove(filepath.Dir(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a save went well", func() bool { return r.Health().Err == nil && !r.Health().SavedAt.IsZero() })
}

func TestASaveLeavesOneFile(t *testing.T) {
	cfg := config(func() *engine.Generation { return nil })
	cfg.Dir, cfg.SaveEvery = t.TempDir(), time.Millisecond
	g := load(t, map[string]string{"p.rego": policy})
	r := run(t, cfg)
	for range 100 {
		r.decide(g, "app/allow", `{"user":"alice"}`)
		r.settled()
	}
	if err := r.Clear(); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if left, err := os.ReadDir(cfg.Dir); err != nil || len(left) != 0 {
		t.Errorf("left after it was cleared: %v, %v", left, err)
	}
}

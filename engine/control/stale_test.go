package control_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/engine/control"
)

// expired fails unless what serves has expired, or has not, as wanted.
func (w *world) expired(want bool) {
	w.t.Helper()
	synctest.Wait()
	if got := w.control.Expired(); got != want {
		w.t.Fatalf("expired: %t; %t was expected: %+v", got, want, w.control.Status())
	}
}

func (w *world) toldOf(t control.Transition) int {
	synctest.Wait()
	n := 0
	for _, c := range w.told {
		if c.Transition == t {
			n++
		}
	}
	return n
}

func TestWhatServesExpiresWhileTheFilesAreBroken(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.stale = time.Hour
		w.write(text(1))
		w.start()
		w.edit(broken)
		time.Sleep(30 * time.Minute)
		w.edit(broken + " ") // another mistake does not prolong it
		time.Sleep(29 * time.Minute)
		w.expired(false)
		if s := w.control.Status().Stale; s == nil || s.Expired || time.Until(s.Until).Round(time.Second) != time.Minute {
			t.Errorf("the status says %+v", s)
		}
		time.Sleep(time.Minute)
		w.expired(true)
		w.serves(1) // it is still there, for a status and for what ends it
		w.edit(broken + "  ")
		w.expired(true)
		w.edit(text(1)) // what serves already is sound, too
		w.expired(false)
		if w.control.Status().Stale != nil {
			t.Errorf("sound files are stale: %+v", w.control.Status())
		}
		w.edit(broken)
		time.Sleep(59 * time.Minute)
		w.expired(false)
		w.edit(text(2))
		time.Sleep(2 * time.Hour)
		w.expired(false)
		if got := []int{w.toldOf(control.Expired), w.toldOf(control.Renewed)}; !slices.Equal(got, []int{1, 1}) {
			t.Errorf("told of expired and renewed %v times", got)
		}
		w.stop()
	})
}

// TestARestartDoesNotMakeWhatServesYounger, and neither does a clock that is set back meanwhile.
func TestARestartDoesNotMakeWhatServesYounger(t *testing.T) {
	for name, back := range map[string]bool{"the clock goes on": false, "the clock is set back": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(_ *testing.T, w *world) {
				w.stale = time.Hour
				w.write(text(1))
				w.start()
				w.edit(broken)
				time.Sleep(50 * time.Minute)
				w.kill()
				if back {
					w.pretend("broken", time.Now().Add(time.Hour))
				}
				w.start()
				w.serves(1) // restored
				w.expired(false)
				time.Sleep(20 * time.Minute)
				w.expired(true)
				w.kill()
				w.start()
				w.expired(true)
				w.stop()
			})
		})
	}
}

// pretend rewrites a time in the record, as if the clock had been behind when it was written.
func (w *world) pretend(part string, at time.Time) {
	w.t.Helper()
	path := filepath.Join(w.data, "control", "pol.json")
	content := string(must[[]byte](w.t)(os.ReadFile(path)))
	i := strings.Index(content, `"`+part+`"`)
	if i < 0 {
		w.t.Fatalf("there is no %s in %s", part, content)
	}
	i += strings.Index(content[i:], `"since": "`) + len(`"since": "`)
	written := at.UTC().Format("2006-01-02T15:04:05")
	if err := os.WriteFile(path, []byte(content[:i]+written+content[i+len(written):]), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// TestWhatAnOperatorOrderedDoesNotExpire, whatever the files hold; when the order ends, the time begins.
func TestWhatAnOperatorOrderedDoesNotExpire(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.stale = time.Hour
		w.write(text(1))
		w.start()
		w.edit(text(2))
		w.edit(broken)
		time.Sleep(2 * time.Hour)
		w.expired(true)
		w.rollback("1")
		w.serves(1)
		w.expired(false)
		time.Sleep(100 * time.Hour)
		w.kill()
		w.start()
		w.serves(1)
		w.expired(false)
		must[bool](t)(w.control.Resume(ctx, ann))
		time.Sleep(50 * time.Minute)
		w.expired(false)
		time.Sleep(20 * time.Minute)
		w.expired(true)
		if err := w.control.Hold(ctx, ann); err != nil {
			t.Fatal(err)
		}
		w.expired(false)
		w.stop()
	})
}

// TestFilesThatWaitForAnApprovalAreSound: only broken ones expire what serves.
func TestFilesThatWaitForAnApprovalAreSound(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		w.stale, w.hold, w.strict = time.Hour, true, true
		w.write(text(1))
		w.start()
		w.edit(text(2))
		w.mode(control.ModeHeld)
		time.Sleep(100 * time.Hour)
		w.expired(false)
		w.edit(broken)
		time.Sleep(2 * time.Hour)
		w.expired(true)
		w.edit(text(2))
		w.expired(false)
		w.serves(1)
		w.stop()
	})
}

// TestWithoutALimitNothingExpires, and what an earlier process counted is forgotten.
func TestWithoutALimitNothingExpires(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		w.stale = time.Hour
		w.write(text(1))
		w.start()
		w.edit(broken)
		time.Sleep(2 * time.Hour)
		w.expired(true)
		w.kill()
		w.stale = 0
		w.start()
		time.Sleep(1000 * time.Hour)
		w.expired(false)
		w.edit(text(2))
		w.edit(broken)
		w.kill()
		w.stale = time.Hour
		w.start()
		w.expired(false)
		w.stop()
	})
}

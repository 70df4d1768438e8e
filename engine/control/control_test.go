package control_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/control"
)

func inBubble(t *testing.T, run func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { run(t, newWorld(t)) })
}

func (w *world) rollback(to string) {
	w.t.Helper()
	must[control.Done](w.t)(w.control.Rollback(context.Background(), ann, control.Target{To: to}))
}

func TestARollbackHoldsOverAKill(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		w.write(text(1))
		w.start()
		w.edit(text(2))
		w.edit(text(3))
		w.rollback("1")
		w.serves(1)
		w.kill()
		w.start()
		w.serves(1)
		w.edit(text(4))
		w.serves(1)
		w.mode(control.ModePinned)
		w.edit(text(1))
		w.mode(control.ModeFollow)
		w.edit(text(4))
		w.serves(4)
		w.stop()
	})
}

func TestASecondRollbackGoesOneFurtherBack(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.write(text(1))
		w.start()
		w.edit(text(2))
		w.edit(text(3))
		w.rollback("")
		w.serves(2)
		w.rollback("")
		w.serves(1)
		if _, err := w.control.Rollback(context.Background(), ann, control.Target{}); !errors.Is(err, control.ErrNotKept) {
			t.Errorf("a rollback to before the first policy: %v", err)
		}
		w.serves(1)
		w.stop()
	})
}

func TestADeadlineOutlivesTheProcess(t *testing.T) {
	for name, down := range map[string]time.Duration{"over while it was down": 2 * time.Hour, "goes on": time.Minute} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.write(text(1))
				w.start()
				w.write(text(2))
				w.reload(engine.Trigger{Kind: engine.TriggerAPI, Confirm: time.Hour})
				w.serves(2)
				w.kill()
				time.Sleep(down)
				w.start()
				if down < time.Hour {
					w.serves(2)
					w.mode(control.ModeConfirming)
					time.Sleep(time.Hour)
				}
				synctest.Wait()
				w.serves(1)
				now := w.mode(control.ModePinned)
				if now.Actor != "deadline" || len(now.Pinned.Refused) != 1 || now.Pinned.Refused[0] != revision(t, text(2)) {
					t.Errorf("what was not confirmed: %+v", now)
				}
				w.stop()
			})
		})
	}
}

// TestAClockThatIsSetBackDoesNotProlong: what is left is written down, so a clock that is an hour behind gives nothing.
func TestAClockThatIsSetBackDoesNotProlong(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.write(text(1))
		w.start()
		w.write(text(2))
		w.reload(engine.Trigger{Kind: engine.TriggerAPI, Confirm: time.Hour})
		time.Sleep(59 * time.Minute)
		w.kill()
		path := filepath.Join(w.data, "control", "pol.json")
		content := string(must[[]byte](t)(os.ReadFile(path)))
		later := time.Now().Add(time.Hour).UTC().Format("2006-01-02T15") // as if the clock were behind by so much
		i := strings.Index(content, `"deadline": "`) + len(`"deadline": "`)
		content = content[:i] + later + content[i+len(later):]
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.serves(2)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		w.serves(1)
		w.stop()
	})
}

func TestTheDeadlineStandsAndTheWayBackIsTheLastConfirmed(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		w.write(text(1))
		w.start()
		w.write(text(2))
		w.reload(engine.Trigger{Kind: engine.TriggerAPI, Confirm: time.Hour})
		time.Sleep(50 * time.Minute)
		w.write(text(3))
		w.reload(engine.Trigger{Kind: engine.TriggerAPI, Confirm: time.Hour})
		w.serves(3)
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		w.serves(1)
		w.stop()
	})
}

// TestADamagedRecordFailsTheSafeWay: the files are followed, or nothing serves where a policy has to be approved.
func TestADamagedRecordFailsTheSafeWay(t *testing.T) {
	for _, damage := range []string{"", "{", `{"format":1,"mode":"pinned"}`, `{"format":2,"mode":"follow"}`, `{"format":1,"mode":"confirming","confirming":{}}`} {
		for _, strict := range []bool{false, true} {
			inBubble(t, func(t *testing.T, w *world) {
				w.strict = strict
				w.write(text(1))
				path := filepath.Join(w.data, "control", "pol.json")
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(damage), 0o600)); err != nil {
					t.Fatal(err)
				}
				w.start()
				if len(w.warned) == 0 {
					t.Errorf("%s: nothing was said", damage)
				}
				if strict {
					if w.serving() != "" {
						t.Errorf("%s: %s serves", damage, w.serving())
					}
					w.kill()
					w.start() // the damage was put aside, and still nothing serves
					if w.serving() != "" {
						t.Errorf("%s, after another start: %s serves", damage, w.serving())
					}
					must[bool](t)(w.control.Resume(context.Background(), ann))
					w.reload(engine.Trigger{Kind: engine.TriggerAPI})
				}
				w.serves(1)
				w.stop()
			})
		}
	}
}

// TestADamagedEntryGivesWayToTheNewestSoundOne that was not taken back; without one nothing serves.
func TestADamagedEntryGivesWayToTheNewestSoundOne(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		damage := func(n int) {
			t.Helper()
			for _, e := range must[[]historyEntry](t)(entries(w)) {
				if e.revision == revision(t, text(n)) {
					if err := os.WriteFile(e.path, []byte("damaged"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		w.write(text(1))
		w.start()
		w.edit(text(2))
		w.edit(text(3))
		w.rollback("2")
		w.kill()
		damage(2)
		w.start()
		w.serves(1) // and not 3, which was taken back
		w.mode(control.ModePinned)
		w.kill()
		damage(1)
		w.start()
		if w.serving() != "" {
			t.Errorf("%s serves", w.serving())
		}
		must[bool](t)(w.control.Resume(context.Background(), ann))
		w.reload(engine.Trigger{Kind: engine.TriggerAPI})
		w.serves(3)
		w.stop()
	})
}

type historyEntry struct{ revision, path string }

func entries(w *world) ([]historyEntry, error) {
	all, err := w.history.Records()
	var found []historyEntry
	for _, r := range all {
		found = append(found, historyEntry{r.Revision, filepath.Join(w.data, "history", r.File)})
	}
	return found, err
}

// TestARollbackTellsOnce, with what an audit record needs.
func TestARollbackTellsOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.write(text(1))
		w.start()
		w.edit(text(2))
		w.rollback("1")
		if len(w.told) != 1 || w.told[0].Transition != control.RolledBack || w.told[0].By != ann ||
			w.told[0].From != revision(t, text(2)) || w.told[0].To != revision(t, text(1)) {
			t.Errorf("told: %+v", w.told)
		}
		w.stop()
	})
}

// TestAHeldCandidateServesAsItWasHeld: nothing is read again, and a further edit voids the digest.
func TestAHeldCandidateServesAsItWasHeld(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.hold, w.strict = true, true
		ctx := context.Background()
		w.write(text(1))
		w.start()
		w.serves(1) // the first there is
		w.edit(text(2))
		w.serves(1)
		older := w.mode(control.ModeHeld).Held.Digest
		w.edit(text(3))
		digest := w.mode(control.ModeHeld).Held.Digest
		var other *control.OtherError
		if _, err := w.control.Approve(ctx, ann, older); !errors.As(err, &other) || other.Waits != digest {
			t.Errorf("an approval of what was held before: %v", err)
		}
		w.write(broken) // the watch has not seen it
		must[engine.Report](t)(w.control.Approve(ctx, ann, digest))
		w.serves(3)
		if _, err := w.control.Approve(ctx, ann, digest); !errors.Is(err, control.ErrNothingHeld) {
			t.Errorf("a second approval: %v", err)
		}
		w.edit(text(2))
		w.mode(control.ModeHeld)
		w.edit(text(3))
		w.mode(control.ModeFollow)
		w.edit(text(2))
		digest = w.mode(control.ModeHeld).Held.Digest
		w.kill()
		w.start()
		w.serves(3)
		if got := w.mode(control.ModeHeld).Held.Digest; got != digest {
			t.Errorf("after a restart %s is held; %s was before", got, digest)
		}
		if err := w.control.Reject(ctx, ann, digest); err != nil {
			t.Fatal(err)
		}
		if _, err := w.control.Approve(ctx, ann, digest); !errors.As(err, &other) {
			t.Errorf("an approval of what was rejected: %v", err)
		}
		w.serves(3)
		w.rollback("1") // an order of its own: no approval
		w.serves(1)
		w.stop()
	})
}

package control_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/control"
)

// TestEveryChangeHasToBeConfirmed where the setting says so, the first policy apart.
func TestEveryChangeHasToBeConfirmed(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.confirm = time.Hour
		w.write(text(1))
		w.start()
		w.mode(control.ModeFollow)
		w.edit(text(2))
		w.serves(2)
		w.mode(control.ModeConfirming)
		time.Sleep(50 * time.Minute)
		w.edit(text(3)) // the deadline does not move
		w.serves(3)
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		w.serves(1)
		w.mode(control.ModePinned)
		must[bool](t)(w.control.Resume(ctx, ann))
		w.reload(engine.Trigger{Kind: engine.TriggerAPI})
		w.serves(3)
		w.mode(control.ModeConfirming)
		if err := w.control.Confirm(ctx, ann, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		w.serves(3)
		w.write(text(4))
		w.reload(engine.Trigger{Kind: engine.TriggerAPI, Confirm: 2 * time.Hour}) // a caller's own time goes before
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		w.serves(4)
		w.edit(text(3)) // the way back, by hand
		w.mode(control.ModeFollow)
		w.stop()
	})
}

// TestAnEditWhileNothingRunsHasToBeConfirmed: a restart is no way round it.
func TestAnEditWhileNothingRunsHasToBeConfirmed(t *testing.T) {
	for name, earlier := range map[string]time.Duration{"after a process that asked for it": time.Hour, "after one that did not": 0} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(_ *testing.T, w *world) {
				w.confirm = earlier
				w.write(text(1))
				w.start()
				w.edit(text(2))
				if earlier > 0 {
					if err := w.control.Confirm(context.Background(), ann, ""); err != nil {
						w.t.Fatal(err)
					}
				}
				w.kill()
				w.write(text(3))
				w.confirm = time.Hour
				w.start()
				w.serves(3)
				w.mode(control.ModeConfirming)
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				w.serves(2)
				w.mode(control.ModePinned)
				w.stop()
			})
		})
	}
}

// TestTheTimeToConfirmBeginsWithTheApproval of a reload that was held.
func TestTheTimeToConfirmBeginsWithTheApproval(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.hold, w.strict = true, true
		w.write(text(1))
		w.start()
		w.edit(text(2))
		w.reload(engine.Trigger{Kind: engine.TriggerAPI, Confirm: time.Hour})
		w.reload(engine.Trigger{Kind: engine.TriggerAPI}) // says nothing about it
		digest := w.mode(control.ModeHeld).Held.Digest
		w.kill() // it is remembered
		time.Sleep(3 * time.Hour)
		w.start()
		w.serves(1)
		must[engine.Report](t)(w.control.Approve(ctx, ann, digest))
		w.serves(2)
		w.mode(control.ModeConfirming)
		if got := w.toldOf(control.Confirming); got != 1 {
			t.Errorf("told %d times of a wait", got)
		}
		time.Sleep(50 * time.Minute)
		w.edit(text(3)) // a further change does not move the deadline, and waits for an approval itself
		w.serves(2)
		digest = w.control.Status().Held.Digest
		must[engine.Report](t)(w.control.Approve(ctx, ann, digest))
		w.serves(3)
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		w.serves(3)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.serves(1)
		now := w.mode(control.ModePinned)
		if len(now.Pinned.Refused) != 1 || now.Pinned.Refused[0] != revision(t, text(3)) {
			t.Errorf("taken back: %+v", now.Pinned)
		}
		w.stop()
	})
}

// TestWhatWasApprovedLastIsKept: a kill right after the approval does not bring back what served before.
func TestWhatWasApprovedLastIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.hold, w.strict = true, true
		w.write(text(1))
		w.start()
		w.edit(text(2))
		must[engine.Report](t)(w.control.Approve(context.Background(), ann, w.mode(control.ModeHeld).Held.Digest))
		w.kill()
		w.start()
		w.serves(2)
		w.mode(control.ModeFollow)
		w.stop()
	})
}

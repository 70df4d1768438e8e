package control_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"defenseclaw/engine"
	"defenseclaw/engine/control"
)

// verdicts refuses files that say so, holds files that say so, and lets the others serve.
func verdicts(_ context.Context, s engine.Step) (engine.Verdict, error) {
	text := string(s.Candidate.Files()[0].Bytes)
	if strings.Contains(text, "refuse") && s.Trigger.Override == "" {
		return engine.Verdict{}, errors.New("it says so")
	}
	return engine.Verdict{Reviewed: true, Hold: strings.Contains(text, "hold") && s.Trigger.Override == "", Guards: "g1"}, nil
}

func reviewedWorld(t *testing.T) *world {
	w := newWorld(t)
	w.reviewed, w.strict, w.review = true, true, verdicts
	w.write(text(1))
	w.start()
	w.serves(1)
	return w
}

func (w *world) servesText(content string) {
	w.t.Helper()
	if got, want := w.serving(), revision(w.t, content); got != want {
		w.t.Fatalf("%s serves; %q, %s was expected; control %+v", got, content, want, w.control.Status())
	}
}

func TestOnlyWhatAReviewLetsPassServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := reviewedWorld(t)
		w.edit(text(2))
		w.serves(2)
		if report := w.edit(text(3) + "# refuse\n"); report.Refused == nil || report.Refused.Stage != engine.StageReview {
			t.Errorf("it ended as %s", report.Result)
		}
		w.serves(2)
		w.mode(control.ModeFollow)

		// What was not admitted does not serve after a kill either; what was does.
		w.kill()
		w.start()
		w.serves(2)
		w.kill()
		w.write(text(4) + "# hold\n")
		w.start()
		w.serves(2)
		held := w.mode(control.ModeHeld).Held
		if held.Digest != control.Digest(revision(t, text(2)), revision(t, text(4)+"# hold\n"), "g1") {
			t.Errorf("the digest is not of the guards that judged: %+v", held)
		}
		must[engine.Report](t)(w.control.Approve(context.Background(), ann, held.Digest))
		w.servesText(text(4) + "# hold\n")
		w.kill()
		w.start()
		w.servesText(text(4) + "# hold\n")
		w.mode(control.ModeFollow)
		w.stop()
	})
}

func TestAnOverrideServesOnRecordAndNotPastAnOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := reviewedWorld(t)
		bad := text(2) + "# refuse\n"
		w.edit(bad)
		override := engine.Trigger{Kind: engine.TriggerAPI, Actor: "ann", Override: "INC-1"}
		if err := w.control.Hold(context.Background(), ann); err != nil {
			t.Fatal(err)
		}
		if report := w.reload(override); report.Result != engine.Held {
			t.Errorf("while something is pinned, it ended as %s", report.Result)
		}
		w.serves(1)
		must[bool](t)(w.control.Resume(context.Background(), ann))
		w.reload(override)
		w.servesText(bad)
		synctest.Wait()
		i := slices.IndexFunc(w.told, func(c control.Change) bool { return c.Transition == control.Overridden })
		if i < 0 || w.told[i].By.Reason != "INC-1" || w.told[i].By.Actor != "ann" || w.told[i].To != revision(t, bad) {
			t.Errorf("it is told as %+v", w.told)
		}
		w.stop()
	})
}

// While an order keeps the files from serving there is nothing to judge. What was only looked at then does not serve when
// the order ends in the same moment.
func TestWhatWasOnlyLookedAtDoesNotServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := reviewedWorld(t)
		w.review = nil
		w.stop()
		w.review = func(context.Context, engine.Step) (engine.Verdict, error) { return engine.Verdict{}, nil }
		w.start()
		if report := w.edit(text(2)); report.Result != engine.Held {
			t.Errorf("it ended as %s", report.Result)
		}
		w.serves(1)
		w.mode(control.ModeFollow)
		w.stop()
	})
}

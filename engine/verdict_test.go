package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
)

// reviews is a Review that ends when it is told to, for each text of p.rego once.
type reviews struct {
	mu      sync.Mutex
	begun   []string // texts, in their order
	dropped []string // those whose context ended
	told    []engine.Result
	end     map[string]chan error
}

func textOf(g *engine.Generation) string { return string(g.Files()[0].Bytes) }

func (r *reviews) ending(text string) chan error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end == nil {
		r.end = map[string]chan error{}
	}
	if r.end[text] == nil {
		r.end[text] = make(chan error, 1)
	}
	return r.end[text]
}

func (r *reviews) review(ctx context.Context, s engine.Step) (engine.Verdict, error) {
	if s.Base == nil {
		return engine.Verdict{Reviewed: true}, nil
	}
	text := textOf(s.Candidate)
	r.mu.Lock()
	r.begun = append(r.begun, text)
	r.mu.Unlock()
	select {
	case err := <-r.ending(text):
		return engine.Verdict{Reviewed: true}, err
	case <-ctx.Done():
		r.mu.Lock()
		r.dropped = append(r.dropped, text)
		r.mu.Unlock()
		return engine.Verdict{}, ctx.Err()
	}
}

func (r *reviews) lists() (begun, dropped, told string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var results []string
	for _, t := range r.told {
		results = append(results, string(t))
	}
	last := func(texts []string) string {
		var ends []string
		for _, t := range texts {
			ends = append(ends, t[len(t)-1:])
		}
		return strings.Join(ends, " ")
	}
	return last(r.begun), last(r.dropped), strings.Join(results, " ")
}

func (r *reviews) engine(t *testing.T, s *editable) *engine.Engine {
	e := run(t, engine.Config{
		Source: s.open, Review: r.review,
		Announcements: []engine.Announcement{{Name: "tell", Run: func(_ context.Context, report engine.Report) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.told = append(r.told, report.Result)
			return nil
		}}},
	})
	reload(t, e, engine.TriggerStartup)
	return e
}

func TestAReviewIsDroppedForANewerEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := &editable{files: tree{"p.rego": "package p\nx := 1"}.fs()}, &reviews{}
		e := r.engine(t, s)
		done := make(chan engine.Report, 9)
		edit := func(text string, kind engine.TriggerKind) {
			s.set(tree{"p.rego": text})
			go func() {
				report, _ := e.Reload(context.Background(), engine.Trigger{Kind: kind, Paths: []string{"p.rego"}})
				done <- report
			}()
			synctest.Wait()
		}
		edit("package p\nx := 2", engine.TriggerWatch)
		edit("package p\nx := 3", engine.TriggerWatch)
		begun, dropped, told := r.lists()
		if begun != "2 3" || dropped != "2" || told != "success" {
			t.Fatalf("reviews of %q began, of %q were dropped, and %q was told", begun, dropped, told)
		}
		if len(done) > 0 {
			t.Fatal("an edit was answered before what it asked for was known")
		}
		// Who asks is answered about files read after the call, and is not put off by edits that follow.
		edit("package p\nx := 4", engine.TriggerAPI)
		edit("package p\nx := 5", engine.TriggerWatch)
		if begun, dropped, _ = r.lists(); begun != "2 3 4" || dropped != "2 3" {
			t.Fatalf("reviews of %q began, of %q were dropped", begun, dropped)
		}
		r.ending("package p\nx := 4") <- nil
		synctest.Wait()
		for range 3 {
			if report := <-done; report.Result != engine.Success || textOf(report.Generation) != "package p\nx := 4" {
				t.Errorf("an answer is %s of %q", report.Result, textOf(report.Generation))
			}
		}
		r.ending("package p\nx := 5") <- errors.New("no")
		synctest.Wait()
		if report := <-done; report.Refused == nil || report.Refused.Stage != engine.StageReview || textOf(e.Current()) != "package p\nx := 4" {
			t.Errorf("the last edit ended as %+v, and %q serves", report.Refused, textOf(e.Current()))
		}
		if _, _, told = r.lists(); told != "success success failed" {
			t.Errorf("%q was told", told)
		}
	})
}

// The same content is not compiled again for a touch, and not refused again without being asked; over another base it is
// another question, and so it is with other tests.
func TestAReviewIsAskedAgainOnlyWhereItMayAnswerOtherwise(t *testing.T) {
	s := &editable{files: tree{"p.rego": "package p\nx := 1"}.fs()}
	asked, candidates := 0, map[*engine.Generation]bool{}
	refuses := func(_ context.Context, s engine.Step) (engine.Verdict, error) {
		if s.Base == nil {
			return engine.Verdict{}, nil
		}
		asked++
		candidates[s.Candidate] = true
		return engine.Verdict{}, &engine.Refused{Diagnostics: diagnostic.List{{Code: "gone", Message: "it is gone"}}}
	}
	e := run(t, engine.Config{Source: s.open, Review: refuses})
	reload(t, e, engine.TriggerStartup)
	first := e.Current()
	s.set(tree{"p.rego": "package p\nx := 2"})
	for range 3 {
		report := reload(t, e, engine.TriggerWatch, "p.rego")
		if report.Refused == nil || report.Refused.Stage != engine.StageReview || report.Refused.Diagnostics[0].Code != "gone" {
			t.Fatalf("refused as %+v", report.Refused)
		}
	}
	if asked != 1 {
		t.Errorf("the review was asked %d times about the same files", asked)
	}
	reload(t, e, engine.TriggerAPI)
	if asked != 2 || len(candidates) != 1 {
		t.Errorf("after somebody asked, the review was asked %d times about %d candidates", asked, len(candidates))
	}
	report, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerWatch, Paths: []string{"p_test.rego"}, Tests: true})
	if report.Refused == nil || asked != 3 || len(candidates) != 1 {
		t.Errorf("after tests changed, the review was asked %d times about %d candidates: %v", asked, len(candidates), err)
	}
	s.set(tree{"p.rego": "package p\nx := 3"})
	other, err := e.Prepare(t.Context(), s.files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Choose(t.Context(), engine.Trigger{}, func() (*engine.Generation, error) { return other, nil }); err != nil {
		t.Fatal(err)
	}
	s.set(tree{"p.rego": "package p\nx := 2"})
	if reload(t, e, engine.TriggerWatch, "p.rego"); asked != 4 {
		t.Errorf("over another base, the review was asked %d times", asked)
	}
	if e.Current() == first {
		t.Error("the choice does not serve")
	}
}

func TestOrdersAreCarriedOutDuringAReview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := &editable{files: tree{"p.rego": "package p\nx := 1"}.fs()}, &reviews{}
		e := r.engine(t, s)
		other, err := e.Prepare(t.Context(), tree{"p.rego": "package p\nx := 9"}.fs())
		if err != nil {
			t.Fatal(err)
		}
		s.set(tree{"p.rego": "package p\nx := 2"})
		done := make(chan engine.Report, 1)
		go func() {
			report, _ := e.Reload(context.Background(), engine.Trigger{Kind: engine.TriggerAPI})
			done <- report
		}()
		synctest.Wait()
		if _, err := e.Choose(t.Context(), engine.Trigger{}, func() (*engine.Generation, error) { return other, nil }); err != nil {
			t.Fatal(err)
		}
		if got := textOf(e.Current()); got != "package p\nx := 9" {
			t.Fatalf("%q serves after the order", got)
		}
		synctest.Wait()
		if begun, dropped, _ := r.lists(); begun != "2 2" || dropped != "2" {
			t.Fatalf("reviews of %q began, of %q were dropped: what follows another policy is another change", begun, dropped)
		}
		r.ending("package p\nx := 2") <- nil
		if report := <-done; report.Result != engine.Success || textOf(report.Previous) != "package p\nx := 9" {
			t.Errorf("the reload ended as %s", report.Result)
		}
	})
}

func TestAReviewThatCrashesRefuses(t *testing.T) {
	s := &editable{files: tree{"p.rego": "package p\nx := 1"}.fs()}
	e := run(t, engine.Config{Source: s.open, Review: func(_ context.Context, s engine.Step) (engine.Verdict, error) {
		if s.Base != nil {
			panic("a fault")
		}
		return engine.Verdict{}, nil
	}})
	reload(t, e, engine.TriggerStartup)
	s.set(tree{"p.rego": "package p\nx := 2"})
	if report := reload(t, e, engine.TriggerWatch, "p.rego"); report.Refused == nil || report.Refused.Stage != engine.StagePanic {
		t.Errorf("it ended as %s, %v", report.Result, report.Refused)
	}
}

// Who overrides a review is the actor of what follows, whoever asks in the same moment.
func TestAnOverrideIsThatOfItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := &editable{files: tree{"p.rego": "package p\nx := 1"}.fs()}, &reviews{}
		e := r.engine(t, s)
		s.set(tree{"p.rego": "package p\nx := 2"})
		done := make(chan engine.Report, 3)
		ask := func(trigger engine.Trigger) {
			go func() {
				report, _ := e.Reload(context.Background(), trigger)
				done <- report
			}()
			synctest.Wait()
		}
		ask(engine.Trigger{Kind: engine.TriggerAPI, Actor: "bob"})
		ask(engine.Trigger{Kind: engine.TriggerAPI, Actor: "cid"})
		ask(engine.Trigger{Kind: engine.TriggerAPI, Actor: "ann", Override: "INC-1"})
		s.set(tree{"p.rego": "package p\nx := 3"})
		r.ending("package p\nx := 3") <- nil
		r.ending("package p\nx := 2") <- nil
		var overridden []string
		for range 3 {
			if report := <-done; report.Trigger.Override != "" {
				overridden = append(overridden, report.Trigger.Actor)
			}
		}
		if strings.Join(overridden, " ") != "ann ann" {
			t.Errorf("the override is that of %q", overridden)
		}
	})
}

package reviewer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/gate"
	"defenseclaw/engine/review/probe"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/review/replay"
)

// Steps are those of the program.
func Steps() []Step {
	return []Step{
		{Name: Tests, Run: runTests, Small: func(w *Work, alone bool) bool { return alone && len(w.Tests.Files()) <= smallTests }},
		{Name: Replay, Run: runReplay, Small: func(w *Work, alone bool) bool { return alone || len(reached(w, 0, smallReplay+1)) <= smallReplay }},
		{Name: Probe, Run: runProbe},
		{Name: Coverage, Run: runCoverage, Small: func(w *Work, alone bool) bool { return alone || len(w.Records) <= smallReplay }},
	}
}

const (
	// smallReplay is the number of records whose replay, at a quarter of a processor, takes less time than a process needs
	// to load a policy.
	smallReplay = 200
	// smallTests is the number of files with tests that may be run in the serving process, where there is no other.
	smallTests = 20
)

// reached lists the records that the change can reach, at most so many of each stratum, if that is not 0, and of all.
func reached(w *Work, each, most int) (found []*records.Record) {
	if len(w.Records) == 0 {
		return nil
	}
	change := w.Change
	if change == nil {
		change = review.Of(w.Base, w.Candidate)
	}
	reaches, strata := map[string]bool{}, map[string]int{}
	for i := range w.Records {
		if len(found) == most {
			break
		}
		if i%recordsAtOnce == 0 {
			runtime.Gosched()
		}
		name := w.Records[i].Path
		yes, known := reaches[name]
		if !known {
			path, err := engine.ParsePath(name)
			yes = err == nil && change.Reaches(path)
			reaches[name] = yes
		}
		if !yes {
			continue
		}
		if each > 0 {
			stratum := w.Records[i].Stratum()
			if strata[stratum]++; strata[stratum] > each {
				continue
			}
		}
		found = append(found, &w.Records[i])
	}
	return found
}

func runTests(ctx context.Context, w *Work, e *review.Evidence) error {
	o := gate.Options{
		Tests: w.Tests, Before: w.TestsBefore, First: w.FailedLast, Budget: w.TestsTime, Spent: spent,
		Contain: w.Share > 0, // in the serving process
	}
	if o.Contain {
		o.Spent = nil // the process has other things to do
	}
	ran, err := gate.Run(ctx, w.Base, w.Candidate, o)
	if err != nil {
		return cmp.Or(late(ctx), err)
	}
	e.Tests = ran
	if ran.NotRun > 0 {
		e.Incomplete = append(e.Incomplete, fmt.Sprintf("%s: %d of %d did not run within %s of processor time", Tests, ran.NotRun, ran.NotRun+ran.Ran, w.TestsTime))
	}
	return nil
}

func runReplay(ctx context.Context, w *Work, e *review.Evidence) error {
	o := replay.Options{Share: w.Share, Baseline: w.Baseline, OnAnswer: w.OnAnswer}
	if deadline, ok := ctx.Deadline(); ok {
		o.Budget = time.Until(deadline)
	}
	r, err := replay.Run(ctx, w.Base, w.Candidate, w.Records, o)
	if err != nil {
		return err
	}
	e.Replay = r
	if r.Confidence == review.ConfidencePartial {
		e.Incomplete = append(e.Incomplete, fmt.Sprintf("%s: %d of %d kinds of decisions were replayed before the time was over", Replay, r.StrataReplayed, r.Strata))
	}
	return nil
}

// maxSeeds is the number of inputs with which a search begins: one of each kind of decision that the change can reach.
const maxSeeds = 200

func runProbe(ctx context.Context, w *Work, e *review.Evidence) error {
	var seeds []probe.Seed
	for _, r := range reached(w, 1, maxSeeds) {
		if json.Valid(r.Input) {
			seeds = append(seeds, probe.Seed{Path: r.Path, Input: r.Input})
		}
	}
	seeds = append(seeds, probe.SeedsOfTests(w.Tests.Suite().Modules)...)
	found, err := probe.Run(ctx, w.Base, w.Candidate, seeds, probe.Options{CPU: w.ProbeTime})
	if found == nil {
		return cmp.Or(late(ctx), err)
	}
	e.Probe = found
	if err != nil {
		e.Incomplete = append(e.Incomplete, fmt.Sprintf("%s: the time was over after %d inputs", Probe, found.Inputs))
	}
	return nil
}

// coverTime bounds the coverage, for reviews of changes wait for it: ten thousand records took one second.
const coverTime = 5 * time.Second

func runCoverage(ctx context.Context, w *Work, e *review.Evidence) error {
	o := replay.Options{Share: w.Share, Budget: coverTime}
	if deadline, ok := ctx.Deadline(); ok {
		o.Budget = min(o.Budget, time.Until(deadline))
	}
	c, err := replay.Cover(ctx, w.Candidate, w.Records, o)
	e.Coverage = c
	return err
}

// late is what a step says whose time was over before it had anything; nil if it was not.
func late(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); !ok || time.Now().Before(deadline) {
		return nil
	}
	return errors.New("the time was over before it had a result")
}

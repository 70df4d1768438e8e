package rollout_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/watcher/fleet/record"

	"pgregory.net/rapid"
)

// fleet is a model of a channel with its agents, and of two controllers that read it and write to it at any time.
type fleet struct {
	t        *rapid.T
	now      time.Time
	sequence int
	record   *record.Record
	written  time.Time
	acks     map[string]rollout.Agent
	labels   map[string]map[string]string
	read     [2]*reading
}

// reading is what a controller knows.
type reading struct {
	sequence  int
	situation rollout.Situation
}

func newFleet(t *rapid.T) *fleet {
	f := &fleet{t: t, now: now, acks: map[string]rollout.Agent{}, labels: map[string]map[string]string{}}
	for i := range rapid.IntRange(1, 30).Draw(t, "agents") {
		f.labels[fmt.Sprintf("agent-%02d", i)] = map[string]string{"ring": rapid.SampledFrom([]string{"canary", "all"}).Draw(t, "ring")}
	}
	text := rapid.SampledFrom([]string{"1%,10%,50%,100%", "ring=canary,100%", "ring=canary,20%,100%", "100%", "10%@5s,50%+ring=canary,100%"}).Draw(t, "plan")
	p, err := rollout.Parse(text, rapid.SampledFrom([]time.Duration{0, 30 * time.Second, 2 * time.Minute}).Draw(t, "soak"))
	if err != nil {
		t.Fatal(err)
	}
	p.MinDecisions = rapid.SampledFrom([]int{0, -1, 50}).Draw(t, "decisions")
	rollout.SetSalt(p, rapid.StringN(1, 8, 8).Draw(t, "salt"))
	f.record = &record.Record{
		V: record.Version, Channel: "prod", Epoch: 1, State: record.Active, Cohort: record.Everybody(), Target: record.Release{Revision: base},
	}
	for name := range f.labels {
		f.see(name, record.Applied)
	}
	r := &record.Record{V: record.Version, Channel: "prod", Target: record.Release{Revision: target}, Base: record.Release{Revision: base}}
	if err := rollout.Begin(r, p, rapid.Bool().Draw(t, "prepare"), slices.Collect(maps.Values(f.acks)), f.now); err != nil {
		t.Fatal(err)
	}
	f.put(r)
	return f
}

func (f *fleet) put(r *record.Record) {
	r.Epoch = record.NextEpoch(f.record.Epoch, f.now)
	if r.Epoch <= f.record.Epoch {
		f.t.Fatalf("the epoch went from %d to %d", f.record.Epoch, r.Epoch)
	}
	f.record, f.written = r, f.now
	f.sequence++
}

// see lets an agent take the record that there is.
func (f *fleet) see(name string, state record.AckState) {
	a, r := f.acks[name], f.record
	served := a.Serves
	a.Agent, a.Labels, a.Epoch, a.State, a.Code, a.Error, a.Heard = name, f.labels[name], r.Epoch, state, "", "", f.now
	a.Wanted = r.Wanted(name, a.Labels).Revision
	switch {
	case state == record.Refused:
		a.Code, a.Error = record.CodePolicy, "no"
	case state == record.Applied && r.State == record.Prepare && a.Serves == base:
		a.State = record.Ready
	case state == record.Applied:
		a.Serves = a.Wanted
	}
	if a.Serves != served {
		a.Counters = record.Counters{}
	}
	f.acks[name] = a
}

func (f *fleet) agent() string {
	return rapid.SampledFrom(slices.Sorted(maps.Keys(f.labels))).Draw(f.t, "agent")
}

func (f *fleet) situation() rollout.Situation {
	s := rollout.Situation{Record: f.record, Written: f.written, Now: f.now}
	for _, name := range slices.Sorted(maps.Keys(f.acks)) {
		s.Agents = append(s.Agents, f.acks[name])
	}
	return s
}

// swap writes what follows from a reading, if nobody was first.
func (f *fleet) swap(from *reading, next *record.Record) {
	if next == nil || from.sequence != f.sequence {
		return
	}
	f.checkMove(from.situation, next)
	f.put(next)
}

// checkMove holds a move against what the design promises, in other words than the code has.
func (f *fleet) checkMove(s rollout.Situation, next *record.Record) {
	was := s.Record
	if !was.Plan.Runs() {
		f.t.Fatalf("a rollout that has ended moved to %+v", next.Plan)
	}
	goesOn := next.Plan.Stage > was.Plan.Stage || was.State == record.Prepare && next.State == record.Active && next.Plan.Halted == ""
	for _, a := range s.Agents {
		addressed := was.Wanted(a.Agent, a.Labels).Revision == target || was.State == record.Prepare
		if goesOn && addressed && a.State == record.Refused && a.Epoch == was.Epoch {
			f.t.Fatalf("stage %d goes on though %s refused", was.Plan.Stage, a.Agent)
		}
		wanted := next.Wanted(a.Agent, a.Labels).Revision
		if next.Plan.Halted != "" && wanted != base {
			f.t.Fatalf("a halted plan asks %s for %s", a.Agent, wanted)
		}
		if next.Plan.Halted == "" && wanted != target && was.Wanted(a.Agent, a.Labels).Revision == target {
			f.t.Fatalf("%s left the cohort between stages %d and %d", a.Agent, was.Plan.Stage, next.Plan.Stage)
		}
	}
	if next.Plan.Stage > was.Plan.Stage+1 {
		f.t.Fatalf("stage %d follows %d", next.Plan.Stage, was.Plan.Stage)
	}
}

func (f *fleet) actions() map[string]func(*rapid.T) {
	person := func(do func(rollout.Situation) (*record.Record, error)) func(*rapid.T) {
		return func(*rapid.T) {
			from := &reading{f.sequence, f.situation()}
			if next, err := do(from.situation); err == nil {
				f.swap(from, next)
			}
		}
	}
	return map[string]func(*rapid.T){
		"time passes": func(t *rapid.T) {
			f.now = f.now.Add(time.Duration(rapid.IntRange(-2, 100).Draw(t, "seconds")) * time.Second)
		},
		"an agent follows": func(t *rapid.T) {
			f.see(f.agent(), rapid.SampledFrom([]record.AckState{record.Applied, record.Applied, record.Applied, record.Refused, record.Waiting}).Draw(t, "as"))
		},
		"all follow": func(*rapid.T) {
			for name := range f.labels {
				f.see(name, record.Applied)
			}
		},
		"an agent repeats itself": func(t *rapid.T) {
			name := f.agent()
			a := f.acks[name]
			a.Heard = f.now
			a.Counters.Decisions += uint64(rapid.IntRange(0, 500).Draw(t, "decisions"))                      //nolint:gosec // it is not negative
			a.Counters.Errors += a.Counters.Decisions / uint64(rapid.IntRange(20, 10_000).Draw(t, "errors")) //nolint:gosec // it is not negative
			f.acks[name] = a
		},
		"a controller reads": func(t *rapid.T) {
			f.read[rapid.IntRange(0, 1).Draw(t, "controller")] = &reading{f.sequence, f.situation()}
		},
		"a controller writes": func(t *rapid.T) {
			if from := f.read[rapid.IntRange(0, 1).Draw(t, "controller")]; from != nil {
				next, _ := rollout.Next(from.situation, "controller")
				f.swap(from, next)
			}
		},
		"two controllers decide at once": func(*rapid.T) {
			one, _ := rollout.Next(f.situation(), "controller")
			two, _ := rollout.Next(f.situation(), "controller")
			if !reflect.DeepEqual(one, two) {
				f.t.Fatalf("one decides %+v, the other %+v", one, two)
			}
			from := &reading{f.sequence, f.situation()}
			before := f.sequence
			f.swap(from, one)
			f.swap(from, two)
			if f.sequence > before+1 {
				f.t.Fatal("both won")
			}
		},
		"pause":   person(func(s rollout.Situation) (*record.Record, error) { return rollout.Pause(s.Record, "ada") }),
		"resume":  person(func(s rollout.Situation) (*record.Record, error) { return rollout.Resume(s.Record, "ada") }),
		"promote": person(func(s rollout.Situation) (*record.Record, error) { return rollout.Promote(s, "ada") }),
		"abort": person(func(s rollout.Situation) (*record.Record, error) {
			if rapid.IntRange(0, 9).Draw(f.t, "abort") > 0 {
				return nil, nil
			}
			return rollout.Abort(s.Record, "", "ada")
		}),
	}
}

// Whatever agents say and when, whoever moves the rollout: no stage goes on with an open refusal, epochs go up, cohorts
// grow until all is taken back, and an open refusal ends the rollout as soon as a controller looks.
func TestRolloutsKeepTheirPromises(t *testing.T) {
	t.Parallel()
	ends := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		f := newFleet(t)
		t.Repeat(f.actions())

		refused := ""
		for _, a := range f.situation().Agents {
			addressed := f.record.State == record.Prepare || f.record.Wanted(a.Agent, a.Labels).Revision == target
			if f.record.Plan.Runs() && addressed && a.State == record.Refused && a.Epoch == f.record.Epoch {
				refused = a.Agent
			}
		}
		from := &reading{f.sequence, f.situation()}
		next, v := rollout.Next(from.situation, "controller")
		if refused != "" && (v.Step != rollout.TakeBack || next.Plan.Halted == "") {
			t.Fatalf("%s refused, and the verdict is %+v", refused, v)
		}
		f.swap(from, next)
		switch {
		case f.record.Plan.Halted != "":
			ends["taken back"]++
		case !f.record.Plan.Runs():
			ends["ended"]++
		default:
			ends[rollout.StageName(f.record)]++
		}
	})
	if total := ends["taken back"] + ends["ended"]; !t.Failed() && total > 20 && (ends["taken back"] == 0 || ends["ended"] == 0) {
		t.Errorf("the model is too tame: %v", ends)
	}
	t.Log(ends)
}

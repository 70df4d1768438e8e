package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
)

// An agent finds what a record names: by the message alone, by the deltas along the chain, or by the snapshot.
func TestWhatIsPublishedCanBeFetched(t *testing.T) {
	t.Parallel()
	l, by := linkTo(t, fleettest.StartBroker(t)), signer(t, "release", record.RoleRelease)
	first := mustPublish(t, l, by, policy("one"))
	if r := first.Now.Record(); r.Base.Revision != "" || len(r.Chain) != 0 || first.Inline {
		t.Errorf("the first release has a base: %+v", r)
	}
	second := mustPublish(t, l, by, policy("two"))
	third := mustPublish(t, l, by, policy("three"))

	now := mustNow(t, l, by)
	r := now.Record()
	if now.Sequence != third.Now.Sequence || r.Epoch != third.Now.Record().Epoch || r.Target.Revision != policy("three").Revision || r.By != "tester" {
		t.Fatalf("the channel says %+v", r)
	}
	if want := []string{policy("two").Revision, policy("one").Revision}; fmt.Sprint(r.Chain) != fmt.Sprint(want) {
		t.Errorf("the chain is %v, and %v was expected", r.Chain, want)
	}
	if r.Epoch <= second.Now.Record().Epoch || second.Now.Record().Epoch <= first.Now.Record().Epoch {
		t.Error("an epoch went back")
	}
	to, _, _, err := delta.Apply(policy("two").Set, policy("two").Revision, now.Opened.Delta, delta.Limits{})
	if err != nil || revision(to) != r.Target.Revision {
		t.Errorf("the delta in the message gives %s, %v", revision(to), err)
	}
	stored, err := l.last(within(t), record.Objects, record.DeltaSubject(r.Chain[0], r.Chain[1]))
	if err != nil || stored == nil {
		t.Fatalf("no delta from the first to the second release: %v", err)
	}
	for _, of := range []record.Release{r.Target, r.Base, first.Now.Record().Target} {
		if f, err := l.Fetch(within(t), of); err != nil || f.Revision != of.Revision {
			t.Errorf("the snapshot of %s: %v", of.Revision, err)
		}
	}
}

// A stage key can move a rollout between its two releases, and nowhere else.
func TestWhatAStageKeyCanDo(t *testing.T) {
	t.Parallel()
	l, by, stage := linkTo(t, fleettest.StartBroker(t)), signer(t, "release", record.RoleRelease), signer(t, "stage", record.RoleStage)
	keys, err := record.ParseKeys([]byte(strings.Join(append(by.Lines(), stage.Lines()...), "\n")))
	if err != nil {
		t.Fatal(err)
	}
	if plain := mustPublish(t, l, by, policy("one")).Now.Record(); len(plain.Releases) != 0 {
		t.Error("a record that nobody moves on carries notes for it")
	}
	plan := func(r *record.Record) error {
		r.Plan = &record.Plan{Stages: []record.Stage{{Cohort: record.Everybody()}}}
		return nil
	}
	p, err := l.Publish(within(t), Draft{After: mustNow(t, l, by), Files: policy("two"), Shape: plan}, by)
	if err != nil {
		t.Fatal(err)
	}
	move := func(after Now, change func(*record.Record)) Now {
		t.Helper()
		next := *after.Record()
		change(&next)
		if _, err := l.Move(within(t), after, &next, nil, stage.Note()...); err != nil {
			t.Fatal(err)
		}
		now, err := l.Now(within(t), "prod", keys)
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	now := move(p.Now, func(r *record.Record) { r.Target, r.Base = r.Base, r.Target })
	if now.Err != nil || now.Record().Target.Revision != policy("one").Revision {
		t.Errorf("to the base: %v", now.Err)
	}
	if _, err := l.Publish(within(t), Draft{After: now, Files: policy("four")}, stage); err == nil || !strings.Contains(err.Error(), "role release") {
		t.Errorf("a stage key published: %v", err)
	}
	taken := *now.Record()
	if now = move(now, func(r *record.Record) { r.Target.Gone.Packages = []string{"p"} }); !errors.Is(now.Err, record.ErrUnsigned) {
		t.Errorf("with more gone than a release key signed: %v", now.Err)
	}
	now.Opened = &record.Opened{Record: taken}
	if now = move(now, func(r *record.Record) { r.Target.Revision = policy("three").Revision }); !errors.Is(now.Err, record.ErrUnsigned) {
		t.Errorf("to what no release key signed: %v", now.Err)
	}
}

func TestALargeDeltaIsAnObject(t *testing.T) {
	t.Parallel()
	l, by := linkTo(t, fleettest.StartBroker(t)), signer(t, "release", record.RoleRelease)
	mustPublish(t, l, by, policy("one"))
	noise := make([]byte, 3*record.ChunkSize)
	set := delta.NewSet(func(yield func(string, []byte) bool) {
		yield("p.rego", append([]byte("package p\n# "), scrambled(noise)...))
	})
	p := mustPublish(t, l, by, Files{set, revision(set)})
	r := p.Now.Record()
	if p.Inline || p.Delta <= record.MaxInline || r.Target.Chunks < 2 || p.Message > 4096 {
		t.Errorf("a delta of %d bytes: inline %v, %d parts, a message of %d bytes", p.Delta, p.Inline, r.Target.Chunks, p.Message)
	}
	if f, err := l.Fetch(within(t), r.Target); err != nil || f.Revision != r.Target.Revision {
		t.Errorf("the snapshot: %v", err)
	}
}

// scrambled is text that cannot be compressed well.
func scrambled(text []byte) []byte {
	x := uint64(88172645463325252)
	for i := range text {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		text[i] = byte('!' + x%90)
	}
	return text
}

// Of two who publish at once one wins, and the other one learns who that was.
func TestOfTwoPublishersOneWins(t *testing.T) {
	t.Parallel()
	b, by := fleettest.StartBroker(t), signer(t, "release", record.RoleRelease)
	one, two := linkTo(t, b), linkTo(t, b)
	mustPublish(t, one, by, policy("before"))
	for round := range 50 {
		var errs [2]error
		var begin, both sync.WaitGroup
		begin.Add(2)
		for i, l := range []*Link{one, two} {
			both.Go(func() {
				now := mustNow(t, l, by)
				begin.Done()
				begin.Wait() // both have seen the same
				_, errs[i] = l.Publish(within(t), Draft{After: now, Files: policy(fmt.Sprint(round, i)), By: fmt.Sprint("publisher ", i)}, by)
			})
		}
		both.Wait()
		winner := 0
		if errs[0] != nil {
			winner = 1
		}
		beaten := new(Beaten)
		if errs[winner] != nil || !errors.As(errs[1-winner], &beaten) {
			t.Fatalf("round %d: %v", round, errs)
		}
		r := mustNow(t, one, by).Record()
		if want := fmt.Sprint("publisher ", winner); r.By != want || beaten.Now.Record().By != want || r.Target.Revision != policy(fmt.Sprint(round, winner)).Revision {
			t.Fatalf("round %d: the channel says %q, the error %v, and %s was expected", round, r.By, beaten, want)
		}
	}
}

// An answer that is lost looks like a conflict, or like nothing: the leader knows.
func TestAnAnswerThatIsLost(t *testing.T) {
	t.Parallel()
	l, by := linkTo(t, fleettest.StartBroker(t)), signer(t, "release", record.RoleRelease)
	before := mustPublish(t, l, by, policy("one")).Now
	ours := mustPublish(t, l, by, policy("two")).Now
	if sequence, done, err := l.write(within(t), before, ours.Message); sequence != ours.Sequence || !done || err != nil {
		t.Errorf("the record that is there, once more: %d, %v, %v", sequence, done, err)
	}
	theirs := mustPublish(t, l, by, policy("three")).Now
	if sequence, done, err := l.write(within(t), before, ours.Message); sequence != ours.Sequence || !done || err != nil {
		t.Errorf("a record that somebody has replaced: %d, %v, %v", sequence, done, err)
	}
	if now := mustNow(t, l, by); now.Sequence != theirs.Sequence {
		t.Error("the channel moved")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, done, _ := l.write(ended, ours, ours.Message); !done {
		t.Error("what somebody else wrote is not told when time has run out")
	}
}

// A broker that has lost its newest records gets one that all agents take.
func TestTheEpochFollowsTheClock(t *testing.T) {
	t.Parallel()
	b, by := fleettest.StartBroker(t), signer(t, "release", record.RoleRelease)
	l := linkTo(t, b)
	lost := mustPublish(t, l, by, policy("one")).Now.Record().Epoch
	if err := l.js.DeleteKeyValue(within(t), record.Bucket); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Now(within(t), "prod", by.Keys()); !errors.Is(err, errNoStream) {
		t.Errorf("without a bucket: %v", err)
	}
	b2 := fleettest.StartBroker(t)
	if got := mustPublish(t, linkTo(t, b2), by, policy("two")).Now.Record().Epoch; got <= lost {
		t.Errorf("the epoch went back from %d to %d", lost, got)
	}
	ahead := mustNow(t, linkTo(t, b2), by)
	ahead.Opened.Epoch += uint64(time.Hour.Milliseconds())
	if got, err := l.draft(ahead, &record.Record{State: record.Active}, nil, by.Note()...); err != nil || got.Opened.Epoch != ahead.Opened.Epoch+1 {
		t.Errorf("after a record of a clock that is ahead: %v", err)
	}
}

func TestARecordThatIsNotTrustedIsNotBuiltUpon(t *testing.T) {
	t.Parallel()
	l := linkTo(t, fleettest.StartBroker(t))
	mine, theirs := signer(t, "mine", record.RoleRelease), signer(t, "theirs", record.RoleRelease)
	mustPublish(t, l, theirs, policy("one"))
	now := mustNow(t, l, mine)
	if now.Record() != nil || !errors.Is(now.Err, record.ErrUnsigned) {
		t.Fatalf("a record of theirs: %v", now.Err)
	}
	if _, err := l.Publish(within(t), Draft{After: now, Files: policy("two")}, mine); !errors.Is(err, record.ErrUnsigned) {
		t.Errorf("published: %v", err)
	}
}

func TestObjectsGoWithTheHistory(t *testing.T) {
	t.Parallel()
	l, by := linkTo(t, fleettest.StartBroker(t)), signer(t, "release", record.RoleRelease)
	const kept = 64
	var all []record.Release
	for i := range kept + record.MaxChain + 3 {
		all = append(all, mustPublish(t, l, by, policy(fmt.Sprint(i))).Now.Record().Target)
	}
	orphan := policy("nobody's")
	if _, err := l.upload(within(t), orphan, false); err != nil {
		t.Fatal(err)
	}
	if err := l.Purge(within(t)); err != nil { // all are young
		t.Fatal(err)
	}
	if _, err := l.Fetch(within(t), all[0]); err != nil {
		t.Fatal(err)
	}
	if err := l.purge(within(t), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Fetch(within(t), all[0]); err == nil {
		t.Error("the first release is still there")
	}
	if m, err := l.last(within(t), record.Objects, record.SnapshotSubject(orphan.Revision, 0)); err != nil || m != nil {
		t.Errorf("what no record names is still there: %v", err)
	}
	for _, of := range all[len(all)-kept:] {
		if _, err := l.Fetch(within(t), of); err != nil {
			t.Error(err)
		}
	}
}

package fleet

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	l, by := linkTo(t, fleettest.StartBroker(t)), signer(t, "release", record.RoleRelease)
	empty, err := l.View(within(t), "prod")
	if err != nil {
		t.Fatal(err)
	}
	if s := StatusOf(mustNow(t, l, by), empty, 0); s.Converged || s.Record != nil || s.Problem != "the channel has no release" {
		t.Errorf("before anything: %+v", s)
	}
	now := mustPublish(t, l, by, policy("one")).Now
	r := now.Record()
	for _, name := range []string{"a", "b"} {
		ack := applied(name, r)
		ack.Kept = name == "a"
		say(t, l, ack)
	}
	for _, name := range []string{"c", "d", "e"} {
		ack := applied(name, r)
		ack.Serves, ack.State, ack.Code, ack.Error = "", record.Refused, record.CodePolicy, "p.rego:3: x"
		if name == "e" {
			ack.Error = "other"
		}
		say(t, l, ack)
	}
	ahead := applied("f", r)
	ahead.Epoch++
	say(t, l, ahead)
	v, err := l.View(within(t), "prod")
	if err != nil {
		t.Fatal(err)
	}
	s := StatusOf(mustNow(t, l, by), v, 0)
	if s.Converged || s.Agents != 6 || s.States[Serves] != 2 || s.States[Refuses] != 3 || s.Lost != 0 || fmt.Sprint(s.Ahead, s.Unkept) != "[f] [b f]" {
		t.Errorf("the status is %+v", s)
	}
	if len(s.Refusals) != 2 || fmt.Sprint(s.Refusals[0].Agents) != "[c d]" || s.Refusals[0].Error != "p.rego:3: x" {
		t.Errorf("refusals by reason: %+v", s.Refusals)
	}
	if len(s.Serve) != 2 || s.Serve[0] != (Count{r.Target.Revision, 3}) && s.Serve[0] != (Count{"", 3}) {
		t.Errorf("what they serve: %+v", s.Serve)
	}
	if fmt.Sprint(s.Record.Signers) != "[release (release)]" || s.Record.By != "tester" {
		t.Errorf("the record in short: %+v", s.Record)
	}
	if s = StatusOf(mustNow(t, l, by), v, time.Nanosecond); s.Lost != 6 || s.Oldest == nil || s.Oldest.Agent != "a" {
		t.Errorf("after a long time: %+v", s)
	}
	text, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(text), `"refusals":[{"code":"policy"`) {
		t.Errorf("as JSON: %s, %v", text, err)
	}
	if known, err := l.Forget(within(t), "prod", "c"); !known || err != nil {
		t.Errorf("to forget c: %v, %v", known, err)
	}
	if known, err := l.Forget(within(t), "prod", "c"); known || err != nil {
		t.Errorf("to forget c again: %v, %v", known, err)
	}
	if v, err = l.View(within(t), "prod"); err != nil || fmt.Sprint(v.Names()) != "[a b d e f]" {
		t.Errorf("afterwards there are %v, %v", v.Names(), err)
	}
}

func TestRollbackGoesForward(t *testing.T) {
	t.Parallel()
	l, by := linkTo(t, fleettest.StartBroker(t)), signer(t, "release", record.RoleRelease)
	if all, err := l.History(within(t), "prod", by.Keys()); err != nil || len(all) != 0 {
		t.Errorf("the history of nothing: %v, %v", all, err)
	}
	for _, what := range []string{"one", "two", "three"} {
		mustPublish(t, l, by, policy(what))
	}
	back := func(to string) *record.Record {
		t.Helper()
		all, err := l.History(within(t), "prod", by.Keys())
		if err != nil {
			t.Fatal(err)
		}
		release, err := Earlier(all, to)
		if err != nil {
			t.Fatal(err)
		}
		now := mustNow(t, l, by)
		done, err := l.Rollback(within(t), Draft{After: now, By: "tester"}, release, by)
		if err != nil {
			t.Fatal(err)
		}
		if done.Now.Record().Epoch <= now.Record().Epoch || !done.Inline {
			t.Errorf("back to %s: %+v", to, done)
		}
		return done.Now.Record()
	}
	if r := back(""); r.Target.Revision != policy("two").Revision || r.Chain[0] != policy("three").Revision {
		t.Errorf("back by one gives %+v", r)
	}
	if r := back(policy("one").Revision[:20]); r.Target.Revision != policy("one").Revision {
		t.Errorf("back to the first gives %+v", r)
	}
	all, err := l.History(within(t), "prod", by.Keys())
	if err != nil || len(all) != 5 || all[0].Record().Target.Revision != policy("one").Revision {
		t.Fatalf("the history has %d records, %v", len(all), err)
	}
	if _, err := Earlier(all, "sha256:123"); err == nil {
		t.Error("a release that never was")
	}
	// Of what a key signed that is not trusted any more, nothing is taken.
	other := signer(t, "other", record.RoleRelease)
	if all, err = l.History(within(t), "prod", other.Keys()); err != nil || len(all) != 5 || all[0].Err == nil {
		t.Fatalf("seen by a stranger: %v", err)
	}
	if _, err := Earlier(all, ""); err == nil {
		t.Error("a release that nobody trusted signed")
	}
}

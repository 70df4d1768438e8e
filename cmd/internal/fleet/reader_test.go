package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
)

// A reader sees what a consumer sees: many agents, those that come, those that change, and those that are forgotten.
func TestAReaderSeesWhatAConsumerSees(t *testing.T) {
	t.Parallel()
	b := fleettest.StartBroker(t)
	l, by := linkTo(t, b), signer(t, "release", record.RoleRelease)
	reader, err := l.Reader("prod")
	if err != nil {
		t.Fatal(err)
	}
	same := func(what string) *View {
		t.Helper()
		got, err := reader.Read(within(t))
		if err != nil {
			t.Fatal(err)
		}
		want, err := l.View(within(t), "prod")
		if err != nil {
			t.Fatal(err)
		}
		if a, b := fmt.Sprintf("%+v", got.Agents()), fmt.Sprintf("%+v", want.Agents()); a != b || got.Invalid != want.Invalid {
			t.Fatalf("%s: the reader has %d agents, %d invalid, the consumer %d, %d:\n%.2000s\n%.2000s", what, len(got.agents), got.Invalid, len(want.agents), want.Invalid, a, b)
		}
		return got
	}
	same("nothing")
	r := mustPublish(t, l, by, policy("one")).Now.Record()
	const agents = 2*perBatch + 7
	for i := range agents {
		ack := applied(fmt.Sprintf("a%d", i), r)
		ack.Keys, ack.Labels, ack.Version = []string{"k+1", "k+2"}, map[string]string{"ring": "canary", "zone": "a"}, "1"
		say(t, l, ack)
	}
	say(t, l, record.Ack{Agent: "other-channel"})
	if _, err := l.js.Publish(within(t), record.AckSubject("test", "a1"), []byte(`{"agent":"a1","channel":"test"}`)); err != nil {
		t.Fatal(err)
	}
	if v := same("many"); len(v.agents) != agents+1 {
		t.Errorf("there are %d agents", len(v.agents))
	}
	if _, err := l.js.Publish(within(t), record.AckSubject("prod", "liar"), []byte(`{"agent":"a1","channel":"prod"}`)); err != nil {
		t.Fatal(err)
	}
	refusal := applied("a7", r)
	refusal.State, refusal.Code, refusal.Error = record.Refused, record.CodePolicy, "no"
	say(t, l, refusal)
	if v := same("one refuses"); v.agents["a7"].State != record.Refused || v.Invalid != 1 {
		t.Errorf("%+v, %d invalid", v.agents["a7"], v.Invalid)
	}
	same("nothing new")

	// What is forgotten is seen when all is read again.
	if _, err := l.Forget(within(t), "prod", "a7"); err != nil {
		t.Fatal(err)
	}
	clock := time.Now
	l.clock = func() time.Time { return clock().Add(wholeEvery) }
	if v := same("one is forgotten"); v.agents["a7"] != nil {
		t.Error("a7 is still known")
	}
	long := applied("long", r)
	long.Error = strings.Repeat("x", maxAck)
	say(t, l, long)
	v, err := reader.Read(within(t))
	if err != nil || v.agents["long"] != nil || v.Invalid != 2 {
		t.Errorf("too long an acknowledgement: %d invalid, %v", v.Invalid, err)
	}
}

// A broker that comes back without its data, or with older data, is read from the beginning.
func TestAReaderStartsAgainWhereTheBrokerWentBack(t *testing.T) {
	t.Parallel()
	p := fleettest.StartProcess(t, fleettest.ProcessConfig{})
	l, err := Connect(within(t), Config{URL: p.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	reader, err := l.Reader("prod")
	if err != nil {
		t.Fatal(err)
	}
	names := func() string {
		t.Helper()
		v, err := reader.Read(within(t))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(v.Names())
	}
	saying := func(agents ...string) { // by a connection that never saw the broker go
		t.Helper()
		now, err := NewLink(p.Connect(), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, agent := range agents {
			say(t, now, record.Ack{Agent: agent})
		}
	}
	saying("a")
	p.Stop()
	saved := p.SaveData()
	p.Start()
	saying("b", "b")
	if got := names(); got != "[a b]" {
		t.Errorf("before: %s", got)
	}
	p.Stop()
	p.RestoreData(saved)
	p.Start()
	if got := names(); got != "[a]" {
		t.Errorf("the broker has only a, and the reader %s", got)
	}
	saying("c")
	if got := names(); got != "[a c]" {
		t.Errorf("afterwards: %s", got)
	}
}

func TestAcknowledgementsShareWhatTheySayAlike(t *testing.T) {
	t.Parallel()
	s := shared{}
	for i := range 3 * maxShared {
		ack := record.Ack{Version: fmt.Sprint(i), Keys: []string{fmt.Sprint(i)}, Labels: map[string]string{"i": fmt.Sprint(i), "a": ""}}
		s.of(&ack)
		if ack.Version != fmt.Sprint(i) || fmt.Sprint(ack.Keys, ack.Labels) != fmt.Sprintf("[%d] map[a: i:%d]", i, i) {
			t.Fatalf("%d became %+v", i, ack)
		}
	}
	if len(s.texts) > maxShared || len(s.lists) > maxShared || len(s.labels) > maxShared {
		t.Errorf("%d texts, %d lists, %d maps are kept", len(s.texts), len(s.lists), len(s.labels))
	}
	one, two := record.Ack{Labels: map[string]string{"a": "b", "c": "d"}}, record.Ack{Labels: map[string]string{"c": "d", "a": "b"}}
	s.of(&one)
	s.of(&two)
	one.Labels["a"] = "changed"
	if two.Labels["a"] != "changed" {
		t.Error("equal labels are kept twice")
	}
}

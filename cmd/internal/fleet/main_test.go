package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	fleettest.Main()
	goleak.VerifyTestMain(m)
}

// patience is far longer than anything here takes.
const patience = time.Minute

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// linkTo connects to a broker.
func linkTo(t *testing.T, b *fleettest.Broker) *Link {
	t.Helper()
	l, err := Connect(within(t), Config{URL: b.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// signer makes a private key.
func signer(t *testing.T, name string, role record.Role) *Signers {
	t.Helper()
	private, _, err := NewKey(name, role)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ReadSigners(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// policy is a release with one module, which says what.
func policy(what string) Files {
	set := delta.NewSet(maps.All(map[string][]byte{"p.rego": []byte("package p\nx := \"" + what + "\"\n")}))
	return Files{set, revision(set)}
}

func mustNow(t *testing.T, l *Link, by *Signers) Now {
	t.Helper()
	now, err := l.Now(within(t), "prod", by.Keys())
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func mustPublish(t *testing.T, l *Link, by *Signers, f Files) Published {
	t.Helper()
	p, err := l.Publish(within(t), Draft{After: mustNow(t, l, by), Files: f, By: "tester"}, by)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// say acknowledges for an agent.
func say(t *testing.T, l *Link, ack record.Ack) {
	t.Helper()
	ack.Channel, ack.Sent = "prod", time.Now()
	text, err := json.Marshal(ack)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.js.Publish(within(t), record.AckSubject("prod", ack.Agent), text); err != nil {
		t.Fatal(err)
	}
}

// applied is what an agent says that serves what a record asks of it.
func applied(agent string, r *record.Record) record.Ack {
	want := r.Wanted(agent, nil).Revision
	return record.Ack{Agent: agent, Instance: "1", Epoch: r.Epoch, Serves: want, Wanted: want, State: record.Applied}
}

func names(some []Judged) string {
	var all []string
	for _, j := range some {
		all = append(all, j.Agent.Agent)
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

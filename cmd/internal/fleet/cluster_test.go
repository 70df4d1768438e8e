package fleet

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
)

// A leader that is killed while somebody publishes costs time, and nothing else: each release is published, once, and no epoch
// goes back.
func TestPublishingSurvivesTheLeader(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("three brokers")
	}
	c, by := fleettest.StartCluster(t), signer(t, "release", record.RoleRelease)
	l, err := Connect(within(t), Config{URL: c.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	var last uint64
	var longest time.Duration
	const kills, each = 2, 6
	for kill := range kills {
		leader := c.Leader()
		for i := range each {
			if i == each/2 {
				leader.Kill()
			}
			began := time.Now()
			f := policy(fmt.Sprint(kill, i))
			p := mustPublish(t, l, by, f)
			longest = max(longest, time.Since(began))
			r := mustNow(t, l, by).Record()
			if r.Target.Revision != f.Revision || r.Epoch <= last || r.Epoch != p.Now.Record().Epoch {
				t.Fatalf("after %d kills, release %d: the channel says %+v", kill, i, r)
			}
			last = r.Epoch
			if got, err := l.Fetch(within(t), r.Target); err != nil || got.Revision != f.Revision {
				t.Fatalf("the snapshot of release %d: %v", i, err)
			}
		}
		c.Heal()
	}
	all, err := l.History(within(t), "prod", by.Keys())
	if err != nil || len(all) != kills*each {
		t.Errorf("the history has %d records, and %d were published; %v", len(all), kills*each, err)
	}
	t.Logf("the longest publication took %s", longest)
}

func TestOfTwoPublishersOneWinsInACluster(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("three brokers")
	}
	c, by := fleettest.StartCluster(t), signer(t, "release", record.RoleRelease)
	var links [2]*Link
	for i := range links {
		var err error
		if links[i], err = Connect(within(t), Config{URL: c.URL()}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(links[i].Close)
	}
	for round := range 20 {
		after := mustNow(t, links[0], by)
		var errs [2]error
		var both sync.WaitGroup
		for i, l := range links {
			both.Go(func() {
				_, errs[i] = l.Publish(within(t), Draft{After: after, Files: policy(fmt.Sprint(round, i)), By: fmt.Sprint(i)}, by)
			})
		}
		both.Wait()
		lost := errors.Join(errs[:]...)
		if (errs[0] == nil) == (errs[1] == nil) || !errors.As(lost, new(*Beaten)) {
			t.Fatalf("round %d: %v", round, errs)
		}
	}
}

// Behind a leaf node, everything works by the hub's domain.
func TestPublishingThroughALeaf(t *testing.T) {
	t.Parallel()
	hub, by := fleettest.StartProcess(t, fleettest.ProcessConfig{Domain: "hub"}), signer(t, "release", record.RoleRelease)
	leaf := fleettest.StartLeaf(t, hub)
	l, err := Connect(within(t), Config{URL: leaf.URL(), Domain: "hub"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	mustPublish(t, l, by, policy("one"))
	now := mustPublish(t, l, by, policy("two")).Now
	say(t, l, applied("a", now.Record()))
	if v, err := l.Wait(within(t), now, Question{}, 1); err != nil || !v.Converged(1) {
		t.Errorf("%s, %v", v, err)
	}
	all, err := l.History(within(t), "prod", by.Keys())
	if err != nil || len(all) != 2 {
		t.Errorf("the history has %d records, %v", len(all), err)
	}
	if err := errors.Join(l.purge(within(t), 0), func() error { _, err := l.Forget(within(t), "prod", "a"); return err }()); err != nil {
		t.Error(err)
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"nats://h":                         "nats://h []",
		"nats://h:1/prod":                  "nats://h:1 [prod]",
		"tls://h:1,h2/prod":                "tls://h:1,tls://h2 [prod]",
		"nats://h:1,nats://h:2":            "nats://h:1,nats://h:2 []",
		"nats://[::1]:4222/p":              "nats://[::1]:4222 [p]",
		"http://h":                         "nats://HOST:PORT",
		"h:4222":                           "nats://HOST:PORT",
		"nats://":                          "a host was expected",
		"nats://h,/prod":                   "a host was expected",
		"nats://user:secret@h":             "has a password in it",
		"nats://h/a b":                     "letters, digits",
		"nats://h/a/b":                     "letters, digits",
		"nats://h:99999999999999999999999": "nats://h:9",
	} {
		servers, channel, err := ParseURL(text)
		got := fmt.Sprintf("%s [%s]", servers, channel)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%s gives %s, and %s was expected", text, got, want)
		}
	}
}

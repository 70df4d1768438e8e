package fleetproof_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/testutil"
	"defenseclaw/engine/source"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
)

var races = flag.Int("races", 10, "have two publishers race `N` times, with the leader of three brokers killed after each fiftieth")

// engineRevision is that of files as the engine computes it.
func engineRevision(set delta.Set) string {
	return source.RevisionOf(func(yield func(string, [sha256.Size]byte) bool) {
		for _, f := range set.Files() {
			if !yield(f.Path, f.Sum) {
				return
			}
		}
	})
}

// Three brokers: their leader is killed while a record is on its way to it, and while publishers race. Each publish ends well,
// each race has one winner, and agents follow.
func TestPublishersOutliveTheLeader(t *testing.T) {
	t.Parallel()
	c := fleettest.StartCluster(t)
	s := newSite(t, c.URL())
	first := s.publish("1")
	text, err := os.ReadFile(s.keys)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := record.ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	crowd := fleettest.NewCrowd(20, "prod", keys)
	for _, one := range crowd.Agents {
		one.Revision = engineRevision
	}
	crowd.Run(t, c.URL())
	all := func(revision string) {
		t.Helper()
		if !testutil.Eventually(func() bool { return crowd.Serving(revision) == len(crowd.Agents) }) {
			t.Fatalf("%d of %d agents serve %s", crowd.Serving(revision), len(crowd.Agents), revision)
		}
	}
	all(first)
	t.Log("all serve the first")

	leader := c.Leader()
	for _, p := range c.Nodes {
		if p == leader {
			continue
		}
		network := fleettest.StartProxy(t, p.Address())
		behind := *s
		behind.url = network.URL() + "/prod"
		network.When("PUB "+record.Subject("prod"), fleettest.Hold)
		_, published := behind.start("fleet", "publish", s.policy("2"), "--key", s.key())
		if !testutil.Eventually(func() bool { return network.Reached() == 1 }) {
			t.Fatal("it publishes nothing")
		}
		leader.Kill()
		network.Pass()
		r := published()
		says(t, r, 0, `^published `)
		t.Logf("published while the leader died: %s", r)
		all(r.revision())
		break
	}
	c.Heal()
	t.Log("three brokers run again")

	one, two := s.link(c.URL()), s.link(c.URL())
	for n := range *races {
		var killed *fleettest.Process
		if n%50 == 5 {
			killed = c.Leader()
		}
		won := s.race(n, killed, one, two)
		t.Logf("race %d", n)
		if n%10 == 9 {
			all(won)
		}
		if killed != nil {
			c.Heal()
		}
	}
	all(s.publish("3"))
}

// link is a connection as the commands have it.
func (s *site) link(url string) *fleet.Link {
	s.t.Helper()
	l, err := fleet.Connect(s.t.Context(), fleet.Config{URL: url})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(l.Close)
	return l
}

// race has each of two publishers who saw the same record publish another release, kills a broker meanwhile if there is one to
// be killed, and returns the revision of the one that won.
func (s *site) race(n int, killed *fleettest.Process, links ...*fleet.Link) (won string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), testutil.Patience)
	defer cancel()
	text, err := os.ReadFile(s.key())
	if err != nil {
		s.t.Fatal(err)
	}
	by, err := fleet.ReadSigners(text)
	if err != nil {
		s.t.Fatal(err)
	}
	now, err := links[0].Now(ctx, "prod", by.Keys())
	if err != nil {
		s.t.Fatal(err)
	}
	type outcome struct {
		published fleet.Published
		err       error
	}
	outcomes := make(chan outcome, len(links))
	for i, l := range links {
		set := delta.NewSet(func(yield func(string, []byte) bool) {
			yield("p.rego", fmt.Appendf(nil, "package p\n\nx := %d\n\ny := %d\n", n, i))
		})
		go func() {
			var o outcome
			o.published, o.err = l.Publish(ctx, fleet.Draft{After: now, Files: fleet.Files{Set: set, Revision: engineRevision(set)}, By: fmt.Sprint("publisher ", i)}, by)
			outcomes <- o
		}()
	}
	if killed != nil {
		killed.Kill()
	}
	var winner record.Record
	var beaten *fleet.Beaten
	var said []string
	for range links {
		o := <-outcomes
		said = append(said, fmt.Sprint(o.err))
		if o.err == nil {
			winner = *o.published.Now.Record()
		} else if !errors.As(o.err, &beaten) {
			s.t.Fatalf("race %d: %v", n, o.err)
		}
	}
	switch {
	case winner.Epoch == 0 || beaten == nil:
		s.t.Fatalf("race %d has not one winner: %s", n, strings.Join(said, "; "))
	case winner.Epoch <= now.Record().Epoch:
		s.t.Fatalf("race %d: epoch %d came after %d", n, winner.Epoch, now.Record().Epoch)
	case beaten.Now.Record() == nil || beaten.Now.Record().Epoch != winner.Epoch:
		s.t.Fatalf("race %d: %v, and the epoch of the winner is %d", n, beaten, winner.Epoch)
	}
	return winner.Target.Revision
}

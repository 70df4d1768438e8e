package fleettest_test

import (
	"context"
	"maps"
	"testing"

	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"

	"golang.org/x/mod/sumdb/note"
)

func files(text string) delta.Set {
	return delta.NewSet(maps.All(map[string][]byte{"a.rego": []byte("package a"), "b.rego": []byte(text)}))
}

// Light agents do what agents do: follow, refuse, keep out of a cohort that is not theirs, and believe no stranger.
func TestLightAgentsFollow(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	broker := fleettest.StartBroker(t)
	channel, keys := fleettest.NewChannel(t, broker.Connect(), "prod")
	const n = 20
	crowd := fleettest.NewCrowd(n, "prod", keys)
	bad := fleettest.Revision(files("package bad"))
	crowd.Agents[3].Refuse.Store(&bad)
	crowd.Run(t, broker.URL())
	publish := func(text string, change func(*record.Record)) string {
		t.Helper()
		r, err := channel.Publish(ctx, files(text), change)
		if err == nil {
			err = crowd.Wait(ctx, r.Epoch)
		}
		if err != nil {
			t.Fatal(err)
		}
		return r.Target.Revision
	}
	serving := func(revision string, want int) {
		t.Helper()
		if got := crowd.Serving(revision); got != want {
			t.Errorf("%d serve it, and %d were expected", got, want)
		}
	}

	one := publish("package one", nil)
	serving(one, n)
	two := publish("package two", nil)
	serving(two, n)
	half := publish("package half", func(r *record.Record) { r.Cohort = record.Cohort{Percent: 50, Salt: "s"} })
	in := 0
	for i := range n {
		if (record.Cohort{Percent: 50, Salt: "s"}).Holds(fleettest.Name(i), nil) {
			in++
		}
	}
	serving(half, in)
	serving(two, n-in)
	publish("package bad", nil)
	serving(bad, n-1)

	trusted := channel.Signers
	stranger, _ := fleettest.Key(t, "release", record.RoleRelease)
	channel.Signers = []note.Signer{stranger}
	if _, err := channel.Publish(ctx, files("package evil"), nil); err != nil {
		t.Fatal(err)
	}
	channel.Signers = trusted
	good := publish("package good", nil)
	serving(good, n)
}

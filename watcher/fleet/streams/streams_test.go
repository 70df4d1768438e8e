package streams_test

import (
	"fmt"
	"testing"
	"time"

	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
	"defenseclaw/watcher/fleet/streams"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A record reaches who only listens, and who asks later.
func TestARecordIsAnnouncedAndKept(t *testing.T) {
	t.Parallel()
	broker := fleettest.StartBroker(t)
	nc := broker.Connect()
	js := fleettest.JetStream(t, nc)
	signer, line := fleettest.Key(t, "release", record.RoleRelease)
	keys, err := record.ParseKeys([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	listening, err := nc.SubscribeSync(record.AnnounceSubject("prod"))
	if err != nil {
		t.Fatal(err)
	}

	files := delta.NewSet(func(yield func(string, []byte) bool) { yield("a.rego", []byte("package a")) })
	release, _, err := fleettest.Release(t.Context(), js, files, delta.Set{}, fleettest.Revision)
	if err != nil {
		t.Fatal(err)
	}
	r := &record.Record{Channel: "prod", State: record.Active, Target: release, Cohort: record.Everybody()}
	if err := fleettest.Move(t.Context(), js, r, nil, signer); err != nil {
		t.Fatal(err)
	}

	announced, err := listening.NextMsg(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	asked, err := nc.Request(record.DirectGet("$JS.API", record.Stream, record.Subject("prod")), nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for how, m := range map[string]*nats.Msg{"announced": announced, "asked": asked} {
		opened, err := record.Open(m.Data, "prod", keys, time.Now())
		if err != nil || !opened.Target.Equal(release) {
			t.Errorf("%s: %v, %v", how, opened, err)
		}
	}
	chunk, err := nc.Request(record.DirectGet("$JS.API", record.Objects, record.SnapshotSubject(release.Revision, 0)), nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	got, _, name, err := delta.Apply(delta.Set{}, "", chunk.Data, delta.Limits{})
	if err != nil || name != release.Revision || fleettest.Revision(got) != release.Revision {
		t.Errorf("the snapshot is of %s: %v", name, err)
	}
}

func TestCreateLeavesWhatIsThere(t *testing.T) {
	t.Parallel()
	js := fleettest.JetStream(t, fleettest.StartBroker(t).Connect())
	made, err := streams.Create(t.Context(), js, streams.Options{})
	if err != nil || len(made) != 3 {
		t.Fatal(made, err)
	}
	for _, one := range made {
		if !one.Existed || len(one.Changed) > 0 {
			t.Errorf("%s was made twice, or changed: %+v", one.Name, one)
		}
	}
}

// Older versions made streams without what came later. An operator may have changed others of their settings, which stay.
func TestCreateMendsWhatAnOlderVersionMade(t *testing.T) {
	t.Parallel()
	js := fleettest.JetStream(t, fleettest.StartBroker(t).Connect())
	config := func(name string) jetstream.StreamConfig {
		t.Helper()
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return s.CachedInfo().Config
	}
	acks, bucket, objects := config(record.Acks), config(record.Stream), config(record.Objects)
	acks.Subjects, acks.MaxAge, acks.Description = []string{record.AckSubject("*", "*")}, time.Hour, "ours"
	bucket.RePublish = nil
	objects.AllowDirect = false
	for _, old := range []jetstream.StreamConfig{acks, bucket, objects} {
		if _, err := js.UpdateStream(t.Context(), old); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"[{KV_fleet true [the republication of $KV.fleet.> as fleet.v1.announce.>]} {FLEET_OBJ true [direct gets]} {FLEET_ACK true [the subject fleet.v1.controller.*]}]",
		"[{KV_fleet true []} {FLEET_OBJ true []} {FLEET_ACK true []}]",
	} {
		made, err := streams.Create(t.Context(), js, streams.Options{})
		if err != nil || fmt.Sprint(made) != want {
			t.Fatalf("%v %v; %s was expected", made, err, want)
		}
	}
	if got := config(record.Acks); got.MaxAge != time.Hour || got.Description != "ours" {
		t.Errorf("%+v", got)
	}
	if _, err := js.Publish(t.Context(), record.ControllerSubject("prod"), nil); err != nil {
		t.Error(err)
	}
}

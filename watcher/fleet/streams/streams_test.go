package streams_test

import (
	"testing"
	"time"

	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
	"defenseclaw/watcher/fleet/streams"

	"github.com/nats-io/nats.go"
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
		if !one.Existed {
			t.Errorf("%s was made twice", one.Name)
		}
	}
}

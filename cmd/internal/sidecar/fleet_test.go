package sidecar_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/cmd/internal/testutil"
	"defenseclaw/engine/memfs"
	"defenseclaw/engine/source"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/mod/sumdb/note"
)

// fleetOf is a broker with the channel prod, and who publishes there.
type fleetOf struct {
	t      *testing.T
	broker *fleettest.Broker
	js     jetstream.JetStream
	signer note.Signer
	keys   string
	base   delta.Set
	epoch  uint64
}

func newFleet(t *testing.T) *fleetOf {
	t.Helper()
	f := &fleetOf{t: t, broker: fleettest.StartBroker(t), keys: filepath.Join(t.TempDir(), "keys")}
	f.js = fleettest.JetStream(t, f.broker.Connect())
	signer, line := fleettest.Key(t, "release", record.RoleRelease)
	f.signer = signer
	if err := os.WriteFile(f.keys, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// revision is that of files as the engine reads them.
func (f *fleetOf) revision(set delta.Set) string {
	f.t.Helper()
	all := map[string][]byte{}
	for _, file := range set.Files() {
		all[file.Path] = file.Content
	}
	reading, err := source.Read(f.t.Context(), memfs.New(maps.All(all)), source.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	return reading.Revision()
}

// release puts files there, and makes a record that asks everybody for them.
func (f *fleetOf) release(pairs ...string) (*record.Record, []byte) {
	f.t.Helper()
	all := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = []byte(pairs[i+1])
	}
	next := delta.NewSet(maps.All(all))
	target, packed, err := fleettest.Release(f.t.Context(), f.js, next, f.base, f.revision)
	if err != nil {
		f.t.Fatal(err)
	}
	f.epoch = record.NextEpoch(f.epoch, time.Now())
	r := &record.Record{
		Channel: "prod", Epoch: f.epoch, State: record.Active, Target: target, Cohort: record.Everybody(), By: "ann@example.org", Message: "because",
	}
	if len(f.base.Files()) > 0 {
		r.Base = record.Release{Revision: f.revision(f.base), Files: 1, Bytes: 1, Chunks: 1}
	}
	f.base = next
	return r, packed
}

func (f *fleetOf) move(r *record.Record, packed []byte) {
	f.t.Helper()
	if err := fleettest.Move(f.t.Context(), f.js, r, packed, f.signer); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleetOf) publish(pairs ...string) *record.Record {
	f.t.Helper()
	r, packed := f.release(pairs...)
	f.move(r, packed)
	return r
}

// follow is the environment of a sidecar that follows the channel.
func (f *fleetOf) follow(home string) map[string]string {
	return map[string]string{
		"DEFENSECLAW_HOME": home, "DEFENSECLAW_SOURCE": f.broker.URL() + "/prod", "DEFENSECLAW_SOURCE_KEYS": f.keys,
		"DEFENSECLAW_AGENT_ID": "web-1", "DEFENSECLAW_AGENT_LABELS": "ring=canary",
	}
}

// ack waits for an acknowledgement of the sidecar.
func (f *fleetOf) ack(what string, is func(record.Ack) bool) (got record.Ack) {
	f.t.Helper()
	stream, err := f.js.Stream(f.t.Context(), record.Acks)
	if err != nil {
		f.t.Fatal(err)
	}
	ok := testutil.Eventually(func() bool {
		got = record.Ack{}
		m, err := stream.GetLastMsgForSubject(f.t.Context(), record.AckSubject("prod", "web-1"))
		return err == nil && json.Unmarshal(m.Data, &got) == nil && is(got)
	})
	if !ok {
		f.t.Fatalf("not acknowledged: %s; the last one is %+v", what, got)
	}
	return got
}

func (f *fleetOf) applied(r *record.Record) record.Ack {
	f.t.Helper()
	return f.ack("applied", func(a record.Ack) bool { return a.Epoch == r.Epoch && a.State == record.Applied })
}

func statusOf(t *testing.T, client *api.Client) api.StatusAnswer {
	t.Helper()
	s, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func policyFiles(n string) []string {
	return []string{"p.rego", "package p\n\nx := " + n, "q/q.rego", "package q\n\ny := 1", "data-sandbox.json", `{"a": 1}`, "data.json", `{"a": 2}`}
}

func TestAChannelIsFollowedAsADirectoryIs(t *testing.T) {
	f := newFleet(t)
	first := f.publish(policyFiles("1")...)
	set, _, _, _ := startWith(t, f.follow(t.TempDir()))
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	if ack := f.applied(first); ack.Serves != first.Target.Revision || ack.Labels["ring"] != "canary" || !ack.Kept {
		t.Errorf("%+v", ack)
	}
	s := statusOf(t, client)
	if s.State != "current" || s.Revision != first.Target.Revision || s.Source == nil || s.Source.Channel == nil || s.Source.AgeSeconds == nil {
		t.Fatalf("%+v %+v", s, s.Source)
	}
	if c := s.Source.Channel; c.State != "applied" || c.By != "ann@example.org" || !c.Connected || len(c.Signers) != 1 {
		t.Errorf("%+v", c)
	}

	second := f.publish(policyFiles("2")...)
	f.applied(second)
	if !strings.Contains(answerOf(t, client), "2") {
		t.Error(answerOf(t, client))
	}
	if s := statusOf(t, client); s.Generation != 2 || s.LastReload.Actor != "source: "+set.Source.URL {
		t.Errorf("%+v", s)
	}

	bad := f.publish("p.rego", "package p\n\nx := oops")
	ack := f.ack("refused", func(a record.Ack) bool { return a.Epoch == bad.Epoch && a.State == record.Refused })
	if ack.Code != record.CodePolicy || !strings.Contains(ack.Error, "p.rego:3") || ack.Serves != second.Target.Revision {
		t.Errorf("%+v", ack)
	}
	if s := statusOf(t, client); s.State != "stale" || s.Source.Channel.Code != "policy" || !strings.Contains(answerOf(t, client), "2") {
		t.Errorf("%+v", s)
	}

	// Files that a release lacks are gone at once, and a good release heals.
	third := f.publish("p.rego", "package p\n\nx := 3")
	f.applied(third)
	if s := statusOf(t, client); s.State != "current" || s.Revision != third.Target.Revision {
		t.Errorf("%+v", s)
	}
}

func TestARestartWithoutTheBrokerServesWhatWasAcknowledged(t *testing.T) {
	f := newFleet(t)
	home := t.TempDir()
	var last *record.Record
	first := f.publish(policyFiles("0")...)
	end := runOnce(t, f.follow(home), func(*api.Client) {
		f.applied(first)
		for _, n := range []string{"1", "2", "3", "4"} { // faster than the history's pace
			last = f.publish(policyFiles(n)...)
			f.applied(last)
		}
	})
	if end != nil {
		t.Fatal(end)
	}
	f.broker.Stop()
	set, _, _, _ := startWith(t, f.follow(home))
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	if s := statusOf(t, client); s.State != "restored" || s.Revision != last.Target.Revision || s.Source.AgeSeconds != nil {
		t.Errorf("%+v %+v", s, s.Source.Channel)
	}
	if !strings.Contains(answerOf(t, client), "4") {
		t.Error(answerOf(t, client))
	}
	f.broker.Start()
	eventually(t, "it heals by itself", func() bool {
		s := statusOf(t, client)
		return s.State == "current" && s.Source.Channel.State == "applied" && s.Source.AgeSeconds != nil
	})
	next := f.publish(policyFiles("5")...)
	f.applied(next)
	if !strings.Contains(answerOf(t, client), "5") {
		t.Error(answerOf(t, client))
	}
}

// runOnce runs a sidecar while do runs.
func runOnce(t *testing.T, environment map[string]string, do func(*api.Client)) (err error) {
	t.Helper()
	t.Run("before", func(t *testing.T) {
		set, _, _, _ := startWith(t, environment)
		client, e := clientOf(set)
		if err = e; err == nil {
			do(client)
		}
	})
	return err
}

func TestWhatAnOperatorOrdersOnASidecarIsAcknowledged(t *testing.T) {
	f := newFleet(t)
	first := f.publish(policyFiles("1")...)
	set, _, _, _ := startWith(t, f.follow(t.TempDir()))
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	f.applied(first)
	second := f.publish(policyFiles("2")...)
	f.applied(second)

	if _, err := client.Order(t.Context(), "rollback", api.ControlRequest{Reason: "it hurts"}); err != nil {
		t.Fatal(err)
	}
	ack := f.ack("waiting", func(a record.Ack) bool { return a.State == record.Waiting && a.Serves == first.Target.Revision })
	if ack.Wanted != second.Target.Revision || ack.Epoch != second.Epoch || !strings.Contains(ack.Error, "it hurts") {
		t.Errorf("%+v", ack)
	}
	third := f.publish(policyFiles("3")...)
	ack = f.ack("waiting", func(a record.Ack) bool {
		return a.State == record.Waiting && a.Epoch == third.Epoch && a.Wanted == third.Target.Revision
	})
	if ack.Serves != first.Target.Revision || !strings.Contains(ack.Error, "it hurts") {
		t.Errorf("%+v", ack)
	}
	if _, err := client.Order(t.Context(), "resume", api.ControlRequest{}); err != nil {
		t.Fatal(err)
	}
	f.applied(third)
	if !strings.Contains(answerOf(t, client), "3") {
		t.Error(answerOf(t, client))
	}
}

func TestPreparingARelease(t *testing.T) {
	f := newFleet(t)
	first := f.publish(policyFiles("1")...)
	set, _, _, _ := startWith(t, f.follow(t.TempDir()))
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	f.applied(first)
	base := f.base
	bad, packed := f.release("p.rego", "package p\n\nx := oops")
	bad.State = record.Prepare
	f.move(bad, packed)
	ack := f.ack("refused", func(a record.Ack) bool { return a.Epoch == bad.Epoch && a.State == record.Refused })
	if ack.Code != record.CodePolicy || !strings.Contains(ack.Error, "p.rego:3") {
		t.Errorf("%+v", ack)
	}
	f.base = base
	next, packed := f.release(policyFiles("2")...)
	next.State = record.Prepare
	f.move(next, packed)
	f.ack("ready", func(a record.Ack) bool {
		return a.Epoch == next.Epoch && a.State == record.Ready && a.Serves == first.Target.Revision
	})
	if s := statusOf(t, client); s.State != "current" || s.Generation != 1 {
		t.Errorf("%+v", s)
	}
	next.State, next.Epoch = record.Active, next.Epoch+1
	f.move(next, packed)
	f.applied(next)
	if !strings.Contains(answerOf(t, client), "2") {
		t.Error(answerOf(t, client))
	}
}

func TestAReloadThatIsAskedForFetchesAtOnce(t *testing.T) {
	f := newFleet(t)
	f.publish(policyFiles("1")...)
	set, _, _, _ := startWith(t, f.follow(t.TempDir()))
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	next := f.publish(policyFiles("2")...)
	answer, err := client.Reload(t.Context())
	if err != nil || !strings.Contains(string(answer), next.Target.Revision) || !strings.Contains(answerOf(t, client), "2") {
		t.Errorf("%s, %v", answer, err)
	}
	f.applied(next)
	f.broker.Stop()
	eventually(t, "the connection is lost", func() bool { return !statusOf(t, client).Source.Channel.Connected })
	if _, err := client.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "no connection to the source") {
		t.Error(err)
	}
}

func TestWhatHappensWithAChannelIsOnRecord(t *testing.T) {
	f := newFleet(t)
	first := f.publish(policyFiles("1")...)
	set, _, _, _ := startWith(t, f.follow(t.TempDir()))
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	f.applied(first)
	bad := f.publish("p.rego", "package p\n\nx := oops")
	f.ack("refused", func(a record.Ack) bool { return a.Epoch == bad.Epoch && a.State == record.Refused })
	kv, err := f.js.KeyValue(t.Context(), record.Bucket)
	if err == nil {
		_, err = kv.Put(t.Context(), "prod", []byte("no record"))
	}
	if err != nil {
		t.Fatal(err)
	}
	f.ack("refused", func(a record.Ack) bool { return a.Code == record.CodeFormat })
	var got []string
	eventually(t, "three records", func() bool {
		got = nil
		for _, action := range []string{"fleet-apply", "fleet-refuse"} {
			page, err := client.Records(t.Context(), audit.Filter{Action: action})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Records {
				got = append(got, r.Action+" "+r.Actor+" "+r.Outcome+" "+r.RevisionTo)
			}
		}
		return len(got) == 3
	})
	if got[0] != "fleet-apply ann@example.org applied "+first.Target.Revision || !strings.HasPrefix(got[2], "fleet-refuse ann@example.org refused") {
		t.Errorf("%q", got)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+client.Addr+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`defenseclaw_fleet_records_total{result="applied"} 1`, `defenseclaw_fleet_records_total{result="refused"} 1`,
		`defenseclaw_fleet_records_total{result="format"} 1`, `defenseclaw_fleet_connected 1`,
	} {
		if !strings.Contains(string(text), line) {
			t.Errorf("%s is not in the metrics", line)
		}
	}
}

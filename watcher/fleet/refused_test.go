package fleet_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"defenseclaw/watcher/fleet"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
)

// put has the bucket hold a message, whatever it is.
func (s *site) put(message []byte) {
	s.t.Helper()
	kv, err := s.js.KeyValue(s.t.Context(), record.Bucket)
	if err == nil {
		_, err = kv.Put(s.t.Context(), channel, message)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) seal(r *record.Record) []byte {
	s.t.Helper()
	r.V = record.Version
	m, err := record.Seal(r, nil, s.signer)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func TestWhatNobodyTrustedSignedDoesNotServe(t *testing.T) {
	s := newSite(t)
	stranger, _ := fleettest.Key(t, "stranger", record.RoleRelease)
	stage, stageLine := fleettest.Key(t, "stage", record.RoleStage)
	s.trust(s.line, stageLine)
	good := s.publish(files("a.rego", "1"))
	a, e := s.start("web-1", nil)
	s.applied("web-1", good)

	for _, c := range []struct {
		name string
		code record.Code
		make func(r *record.Record) []byte
	}{
		{"altered by one bit", record.CodeSignature, func(r *record.Record) []byte {
			m := s.seal(r)
			m[4+bytes.Index(m[4:], []byte("everybody"))] ^= 1
			return m
		}},
		{"signed by an unknown key", record.CodeSignature, func(r *record.Record) []byte {
			m, err := record.Seal(r, nil, stranger)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}},
		{"without a signature", record.CodeFormat, func(r *record.Record) []byte {
			m := s.seal(r)
			text := m[4 : 4+bytes.Index(m[4:], []byte("\n\n"))+2]
			return append([]byte{0, 0, byte(len(text) >> 8), byte(len(text))}, text...)
		}},
		{"released by no release key", record.CodeSignature, func(r *record.Record) []byte {
			m, err := record.Seal(r, nil, stage)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}},
		{"of next year", record.CodeFuture, func(r *record.Record) []byte {
			r.Epoch = uint64(time.Now().AddDate(1, 0, 0).UnixMilli())
			return s.seal(r)
		}},
		{"expired", record.CodeExpired, func(r *record.Record) []byte {
			r.Expires = time.Now().Add(-time.Minute)
			return s.seal(r)
		}},
		{"of another channel", record.CodeFormat, func(r *record.Record) []byte {
			r.Channel = "test"
			return s.seal(r)
		}},
		{"nothing", record.CodeFormat, func(*record.Record) []byte { return []byte("no record") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := s.release(files("a.rego", c.name))
			r.By, r.V = "everybody", record.Version
			s.put(c.make(r))
			ack := s.ack("web-1", c.name, func(a record.Ack) bool { return a.State == record.Refused })
			if ack.Code != c.code || ack.Serves != good.Target.Revision || ack.Epoch != good.Epoch || ack.Error == "" {
				t.Errorf("acknowledged %+v", ack)
			}
			if h := a.Health(); h.State != record.Refused || h.Serves != good.Target.Revision || h.Records[string(c.code)] == 0 {
				t.Errorf("the health is %+v", h)
			}
			if !e.told(fleet.EventRefused) {
				t.Error("it was not told")
			}
			good = s.publish(files("a.rego", "after "+c.name))
			s.applied("web-1", good)
		})
	}
}

func TestARecordThatIsSentAloneDoesNotStayRefused(t *testing.T) {
	s := newSite(t)
	good := s.publish(files("a.rego", "1"))
	a, _ := s.start("web-1", func(c *fleet.Config) { c.Poll = 20 * time.Millisecond })
	s.applied("web-1", good)
	nc := s.broker.Connect()
	if err := errors.Join(nc.Publish(record.AnnounceSubject(channel), []byte("no record")), nc.Flush()); err != nil {
		t.Fatal(err)
	}
	until(t, "the record in the bucket counts", func() bool {
		h := a.Health()
		return h.Records["format"] == 1 && h.State == record.Applied
	})
	s.applied("web-1", good)
}

func TestRecordsThatComeInAnyOrderAndTwice(t *testing.T) {
	s := newSite(t)
	var messages [][]byte
	var newest *record.Record
	for i := range 30 {
		newest, _ = s.release(files("a.rego", strings.Repeat("x", i+1)))
		messages = append(messages, s.seal(newest))
	}
	messages = append(messages, messages...)
	rand.Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
	a, e := s.start("web-1", nil)
	until(t, "connected", func() bool { return a.Health().Connected })
	nc := s.broker.Connect()
	for _, m := range messages {
		if err := nc.Publish(record.AnnounceSubject(channel), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	s.applied("web-1", newest)
	until(t, "all came", func() bool {
		return a.Health().Floor == newest.Epoch && a.Health().Records["replay"] > 0
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	longest := 0
	for _, event := range e.events {
		if event.Kind == fleet.EventApplied {
			if int(event.Epoch) < longest {
				t.Errorf("epoch %d came after %d", event.Epoch, longest)
			}
			longest = int(event.Epoch)
		}
	}
	if e.serves != newest.Target.Revision {
		t.Error("the newest does not serve")
	}
}

func TestADeltaThatIsWrongMeansTheSnapshotAndThatTheOneBefore(t *testing.T) {
	s := newSite(t)
	good := s.publish(files("a.rego", "1"))
	a, _ := s.start("web-1", nil)
	s.applied("web-1", good)
	damage := func(subject string) {
		t.Helper()
		if _, err := s.js.Publish(t.Context(), subject, []byte("no delta")); err != nil {
			t.Fatal(err)
		}
	}

	before := a.Health().Bytes["snapshot"]
	next, _ := s.release(files("a.rego", "2"))
	damage(record.DeltaSubject(next.Target.Revision, good.Target.Revision))
	s.move(next, []byte("no delta"))
	s.applied("web-1", next)
	if a.Health().Bytes["snapshot"] == before {
		t.Error("no snapshot was fetched")
	}

	// A delta to other files than those that are signed.
	other, err := delta.Make(files("a.rego", "2"), files("a.rego", "evil"), next.Target.Revision, fleettest.Revision(files("a.rego", "3")))
	if err != nil {
		t.Fatal(err)
	}
	third, _ := s.release(files("a.rego", "3"))
	damage(record.DeltaSubject(third.Target.Revision, next.Target.Revision))
	damage(record.SnapshotSubject(third.Target.Revision, 0))
	s.move(third, other)
	ack := s.ack("web-1", "wrong", func(a record.Ack) bool { return a.Epoch == third.Epoch && a.State == record.Refused })
	if ack.Code != record.CodeHash || ack.Serves != next.Target.Revision || !strings.Contains(ack.Error, third.Target.Revision) {
		t.Errorf("acknowledged %+v", ack)
	}
}

func TestAReleaseThatIsTooLargeIsNotFetched(t *testing.T) {
	s := newSite(t)
	good := s.publish(files("a.rego", "1"))
	a, _ := s.start("web-1", func(c *fleet.Config) { c.Limits = delta.Limits{Files: 2, Bytes: 1000} })
	s.applied("web-1", good)
	fetched := a.Health().Bytes["snapshot"]
	for _, next := range []delta.Set{
		files("a.rego", "1", "b.rego", "2", "c.rego", "3"),
		files("a.rego", strings.Repeat("x", 1001)),
	} {
		r, packed := s.release(next)
		s.move(r, packed)
		ack := s.ack("web-1", "too large", func(a record.Ack) bool { return a.Epoch == r.Epoch && a.State == record.Refused })
		if ack.Code != record.CodeLimits {
			t.Errorf("acknowledged %+v", ack)
		}
	}
	// One whose record does not say how large it is.
	r, packed := s.release(files("a.rego", strings.Repeat("y", 1001)))
	r.Target.Bytes, r.Target.Files, r.Target.Chunks = 1, 1, 1
	s.move(r, packed)
	ack := s.ack("web-1", "too large", func(a record.Ack) bool { return a.Epoch == r.Epoch && a.State == record.Refused })
	if ack.Code != record.CodeLimits {
		t.Errorf("acknowledged %+v", ack)
	}
	if got := a.Health().Bytes["snapshot"]; got-fetched > 200 {
		t.Errorf("%d bytes were fetched", got-fetched)
	}
}

func TestADiskThatIsFullKeepsNothingFromServing(t *testing.T) {
	s := newSite(t)
	dir := filepath.Join(t.TempDir(), "kept")
	good := s.publish(files("a.rego", "1"))
	a, e := s.agent("web-1", dir, nil)
	s.run(a)
	s.applied("web-1", good)
	moved := dir + ".away"
	if err := errors.Join(os.Rename(dir, moved), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	next := s.publish(files("a.rego", "2"))
	if ack := s.applied("web-1", next); ack.Kept || ack.Serves != next.Target.Revision {
		t.Errorf("acknowledged %+v", ack)
	}
	if !e.told(fleet.EventUnkept) {
		t.Error("it was not told")
	}
	if err := errors.Join(os.Remove(dir), os.Rename(moved, dir)); err != nil {
		t.Fatal(err)
	}
	third := s.publish(files("a.rego", "3"))
	if ack := s.applied("web-1", third); !ack.Kept {
		t.Errorf("acknowledged %+v", ack)
	}
}

package fleet_test

import (
	"slices"
	"strings"
	"testing"

	"defenseclaw/watcher/fleet"
	"defenseclaw/watcher/fleet/record"
)

func TestAnAgentServesWhatItsChannelAsksForAndSaysSo(t *testing.T) {
	s := newSite(t)
	first := s.publish(files("a.rego", "one", "b.rego", "two"))
	a, e := s.start("web-1", nil)
	ack := s.applied("web-1", first)
	if ack.Serves != first.Target.Revision || !ack.Kept || ack.Floor != first.Epoch || ack.Instance == "" || len(ack.Keys) != 1 {
		t.Errorf("acknowledged %+v", ack)
	}

	second := s.publish(files("a.rego", "one", "b.rego", "three"))
	s.applied("web-1", second)
	h := a.Health()
	if !h.Connected || h.Contact.IsZero() || h.Serves != second.Target.Revision || h.Records["applied"] != 2 {
		t.Errorf("the health is %+v", h)
	}
	if h.Bytes["delta"] != 0 {
		t.Errorf("%d bytes of deltas were fetched although the record carries it", h.Bytes["delta"])
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if last := e.changes[len(e.changes)-1]; last.Rescan || !slices.Equal(last.Paths, []string{"b.rego"}) {
		t.Errorf("the change is %+v", last)
	}
}

func TestAnAgentThatMissedReleasesGoesAlongTheChain(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	first := s.publish(files("a.rego", "1"))
	a, _ := s.agent("web-1", dir, nil)
	stop := s.run(a)
	s.applied("web-1", first)
	stop()
	s.publish(files("a.rego", "2"))
	s.publish(files("a.rego", "3", "b.rego", "new"))
	r, _ := s.release(files("a.rego", "4"))
	s.move(r, nil)
	a, _ = s.agent("web-1", dir, nil)
	s.run(a)
	s.applied("web-1", r)
	if h := a.Health(); h.Bytes["delta"] == 0 || h.Bytes["snapshot"] != 0 {
		t.Errorf("fetched %v", h.Bytes)
	}
}

func TestAReleaseThatIsRefusedLeavesTheOneBefore(t *testing.T) {
	s := newSite(t)
	good := s.publish(files("a.rego", "1"))
	a, e := s.start("web-1", nil)
	s.applied("web-1", good)
	bad := s.publish(files("a.rego", "1", "bad", "x"))
	ack := s.ack("web-1", "refused", func(a record.Ack) bool { return a.Epoch == bad.Epoch && a.State == record.Refused })
	if ack.Code != record.CodePolicy || ack.Serves != good.Target.Revision || ack.Wanted != bad.Target.Revision || !strings.Contains(ack.Error, "does not compile") || !ack.Kept {
		t.Errorf("acknowledged %+v", ack)
	}
	if !e.told(fleet.EventRefused) {
		t.Error("it was not told")
	}
	if tree, revision := a.LastGood(); tree == nil || revision != good.Target.Revision {
		t.Errorf("the last good one is %q", revision)
	}

	back := &record.Record{Channel: channel, State: record.Active, Target: good.Target, Base: bad.Target, Cohort: record.Everybody(), Epoch: bad.Epoch + 1}
	s.move(back, nil)
	s.applied("web-1", back)
	if got := a.Health().Bytes["snapshot"]; got != uint64(len(snapshotOf(t, good, s))) {
		t.Errorf("%d bytes of snapshots were fetched", got)
	}
}

func snapshotOf(t *testing.T, r *record.Record, s *site) []byte {
	t.Helper()
	stream, err := s.js.Stream(t.Context(), record.Objects)
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetLastMsgForSubject(t.Context(), record.SnapshotSubject(r.Target.Revision, 0))
	if err != nil {
		t.Fatal(err)
	}
	return m.Data
}

func TestPreparingLoadsAndServesNot(t *testing.T) {
	s := newSite(t)
	base := s.publish(files("a.rego", "1"))
	s.start("web-1", nil)
	s.applied("web-1", base)
	for _, c := range []struct {
		name  string
		state record.AckState
		files []string
	}{
		{"good", record.Ready, []string{"a.rego", "2"}},
		{"bad", record.Refused, []string{"a.rego", "2", "bad", "x"}},
	} {
		s.base = files("a.rego", "1")
		r, packed := s.release(files(c.files...))
		r.State = record.Prepare
		s.move(r, packed)
		ack := s.ack("web-1", c.name, func(a record.Ack) bool { return a.Epoch == r.Epoch && a.State == c.state })
		if ack.Serves != base.Target.Revision {
			t.Errorf("%s: it serves %q", c.name, ack.Serves)
		}
	}
}

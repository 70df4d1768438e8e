package audit_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"defenseclaw/api/audit"
)

// unguard drops the triggers that keep people from accidents.
func unguard(t *testing.T, db *sql.DB) {
	t.Helper()
	sqlExec(t, db, "DROP TRIGGER audit_events_unchanged", "DROP TRIGGER audit_events_kept")
}

// swap makes two records change places.
const swap = "UPDATE audit_events SET seq = -1 WHERE seq = %[1]d; UPDATE audit_events SET seq = %[1]d WHERE seq = %[2]d; UPDATE audit_events SET seq = %[2]d WHERE seq = -1"

// renumber moves the records from a seq on by an offset, without collisions.
const renumber = "UPDATE audit_events SET seq = -seq WHERE seq >= %[1]d; UPDATE audit_events SET seq = -seq + %[2]d WHERE seq < 0"

func TestVerifyFindsTamperingAndNamesTheRecord(t *testing.T) {
	const forged = "INSERT INTO audit_events (id, timestamp, action, seq, prev_hash, hash) VALUES ('forged', '2026-01-01', 'policy-reload', %s, '', '')"
	for _, c := range []struct {
		name, tamper string
		want         []string // "kind seq count", the first of them first
	}{
		{"nothing", "SELECT 1", nil},
		{"an actor altered", "UPDATE audit_events SET actor = 'mallory' WHERE seq = 5", []string{"altered 5 0"}},
		{"a time altered", "UPDATE audit_events SET timestamp = '2020-01-01T00:00:00.000000000Z' WHERE seq = 5", []string{"altered 5 0"}},
		{"details altered", "UPDATE audit_events SET structured_json = '{}' WHERE seq = 5", []string{"altered 5 0"}},
		{"a text made bytes", "UPDATE audit_events SET actor = CAST(actor AS BLOB) WHERE seq = 5", []string{"altered 5 0"}},
		{"an empty text made NULL", "UPDATE audit_events SET target = NULL WHERE seq = 5", []string{"altered 5 0"}},
		{"text moved to the next column", "UPDATE audit_events SET target = actor, actor = target WHERE seq = 5", []string{"altered 5 0"}},
		{"a hash altered", "UPDATE audit_events SET hash = '00' WHERE seq = 5", []string{"altered 5 0"}},
		{"a hash exchanged for another record's",
			"UPDATE audit_events SET hash = (SELECT hash FROM audit_events WHERE seq = 4) WHERE seq = 5",
			[]string{"altered 5 0"}},
		{"a link altered", "UPDATE audit_events SET prev_hash = '00' WHERE seq = 5", []string{"altered 5 0"}},
		{"one removed", "DELETE FROM audit_events WHERE seq = 5", []string{"removed 5 1"}},
		{"several removed", "DELETE FROM audit_events WHERE seq BETWEEN 5 AND 7", []string{"removed 5 3"}},
		{"one removed and the rest moved up", "DELETE FROM audit_events WHERE seq = 5;" + fmt.Sprintf(renumber, 6, -1), []string{"moved 5 0", "removed 10 1"}},
		{"the oldest removed", "DELETE FROM audit_events WHERE seq <= 2", []string{"removed 1 2"}},
		{"the oldest removed and the anchor moved",
			"UPDATE audit_chain SET (anchor_seq, anchor_hash) = (SELECT seq, hash FROM audit_events WHERE seq = 2); DELETE FROM audit_events WHERE seq <= 2", []string{"anchor 2 0"}},
		{"the newest removed", "DELETE FROM audit_events WHERE seq > 8", []string{"removed 9 2"}},
		{"all removed", "DELETE FROM audit_events", []string{"removed 1 10", "lists 0 0"}},
		{"one with no place put there", fmt.Sprintf(forged, "NULL"), []string{"inserted 0 0"}},
		{"one put at the end", fmt.Sprintf(forged, "11"), []string{"altered 11 0", "inserted 11 1"}},
		{"one put in the middle", fmt.Sprintf(renumber, 6, 1) + ";" + fmt.Sprintf(forged, "6"), []string{"altered 6 0", "moved 7 0", "inserted 11 1"}},
		{"one put before the first", fmt.Sprintf(forged, "0"), []string{"inserted 0 0"}},
		{"neighbours exchanged", fmt.Sprintf(swap, 5, 6), []string{"moved 5 0", "moved 6 0"}},
		{"two exchanged from afar", fmt.Sprintf(swap, 3, 9), []string{"moved 3 0", "moved 9 0"}},
		{"the noted head altered", "UPDATE audit_chain SET head_hash = '00'", []string{"head 10 0"}},
		{"the noted head moved back", "UPDATE audit_chain SET (head_seq, head_hash) = (SELECT seq, hash FROM audit_events WHERE seq = 8)", []string{"inserted 9 2"}},
		{"the chain given another id", "UPDATE audit_chain SET id = 'x'", []string{"anchor 0 0"}},
		{"an entry put on a list", "INSERT INTO list_entries VALUES ('allow', 'skill', 'evil', '', '', 'defenseclaw', '2026-01-01', NULL)", []string{"lists 0 0"}},
		{"an entry taken off a list", "DELETE FROM list_entries", []string{"lists 0 0"}},
		{"an entry altered", "UPDATE list_entries SET target_name = target_name || char(0)", []string{"lists 0 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := start(t, audit.Config{})
			l.add(t, "a", "b", "c")
			if _, _, err := l.AddEntry(t.Context(), audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: "bad"}, ""); err != nil {
				t.Fatal(err)
			}
			for i := range 6 {
				if err := l.Append(t.Context(), audit.Record{Action: "x", Generation: uint64(i), Details: audit.JSON(i)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.stop(); err != nil {
				t.Fatal(err)
			}
			ids := map[int64]string{}
			for _, r := range all(t, read(t, l.path)) {
				ids[r.Seq] = r.ID
			}
			db := raw(t, l.path)
			unguard(t, db)
			sqlExec(t, db, c.tamper)
			report := verify(t, l.path)
			var got []string
			for _, p := range report.Problems {
				got = append(got, fmt.Sprintf("%s %d %d", p.Kind, p.Seq, p.Count))
				if strings.HasPrefix(c.name, "one ") || p.ID == "" {
					continue
				}
				if !strings.Contains(p.Message, p.ID) || !slices.Contains([]string{ids[3], ids[5], ids[6], ids[9], ids[10]}, p.ID) {
					t.Errorf("names %q in %q", p.ID, p.Message)
				}
			}
			if !slices.Equal(got, c.want) || report.OK != (len(c.want) == 0) {
				t.Errorf("got  %q\nwant %q\n%+v", got, c.want, report)
			}
		})
	}
}

// rewrite gives records from seq on new hashes, as an attacker would.
func rewrite(t *testing.T, path string, from int64, alter string) {
	t.Helper()
	db := raw(t, path)
	unguard(t, db)
	sqlExec(t, db, alter)
	if err := audit.Rehash(context.Background(), db, from); err != nil {
		t.Fatal(err)
	}
}

func TestANotedHeadRevealsARewrittenChain(t *testing.T) {
	l := start(t, audit.Config{})
	l.add(t, "a", "b", "c", "d")
	noted := l.Health().Head
	l.add(t, "e")
	if report, err := l.Verify(t.Context(), noted, l.Health().Head); err != nil || !report.OK {
		t.Fatalf("%+v, %v", report, err)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	rewrite(t, l.path, 2, "UPDATE audit_events SET actor = 'mallory' WHERE seq = 2")
	if report := verify(t, l.path); report.OK {
		t.Error("a whole rewrite is not missed by the head next to the file")
	}
	forget(t, l.path)
	if report := verify(t, l.path); !report.OK {
		t.Errorf("a whole rewrite was found without help, which the documentation says cannot be: %+v", report.Problems)
	}
	if report := verify(t, l.path, noted); report.OK || report.Problems[0].Kind != audit.ProblemHead || report.Problems[0].Seq != 4 {
		t.Errorf("%+v", report.Problems)
	}
	future := audit.Head{Seq: 9, Hash: noted.Hash}
	if report := verify(t, l.path, future); report.OK || !strings.Contains(report.Problems[0].Message, "ends at 5") {
		t.Errorf("%+v", report.Problems)
	}
}

func TestARehashedRecordIsFoundByTheNextOne(t *testing.T) {
	l := start(t, audit.Config{})
	l.add(t, "a", "b", "c")
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	db := raw(t, l.path)
	third := scan[string](t, db, "SELECT prev_hash || hash FROM audit_events WHERE seq = 3")
	rewrite(t, l.path, 2, "UPDATE audit_events SET actor = 'mallory' WHERE seq = 2")
	// Put back what stands after it.
	if _, err := db.Exec("UPDATE audit_events SET prev_hash = ?, hash = ? WHERE seq = 3", third[:64], third[64:]); err != nil {
		t.Fatal(err)
	}
	sqlExec(t, db, "UPDATE audit_chain SET head_hash = (SELECT hash FROM audit_events WHERE seq = 3)")
	report := verify(t, l.path)
	if len(report.Problems) != 1 || report.Problems[0].Kind != audit.ProblemAltered ||
		report.Problems[0].Seq != 2 || !strings.Contains(report.Problems[0].Message, "hash recomputed") {
		t.Errorf("%+v", report.Problems)
	}
}

func TestRecordsOfOneChainDoNotFitIntoAnother(t *testing.T) {
	one, other := start(t, audit.Config{}), start(t, audit.Config{})
	one.add(t, "a", "b")
	other.add(t, "a", "b")
	if err := one.stop(); err != nil {
		t.Fatal(err)
	}
	db := raw(t, one.path)
	unguard(t, db)
	sqlExec(t, db, "ATTACH '"+other.path+"' AS other", "DELETE FROM audit_events", "INSERT INTO audit_events SELECT * FROM other.audit_events")
	if report := verify(t, one.path); report.OK || report.Problems[0].Kind != audit.ProblemAnchor {
		t.Errorf("%+v", report.Problems)
	}
}

func TestTheFirstHundredProblemsAreListed(t *testing.T) {
	l := start(t, audit.Config{})
	for range 250 {
		l.add(t, "x")
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	db := raw(t, l.path)
	unguard(t, db)
	sqlExec(t, db, "UPDATE audit_events SET actor = 'mallory'")
	report := verify(t, l.path)
	if report.OK || len(report.Problems) != 100 || report.MoreProblems != 150 || report.Problems[0].Seq != 1 {
		t.Errorf("%d problems and %d more", len(report.Problems), report.MoreProblems)
	}
}

func TestAMissingChainRowIsReported(t *testing.T) {
	l := start(t, audit.Config{})
	l.add(t, "x")
	sqlExec(t, raw(t, l.path), "DELETE FROM audit_chain")
	if _, err := l.Verify(t.Context()); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("%v", err)
	}
	err := l.Append(t.Context(), audit.Record{Action: "y"})
	if err == nil || !strings.Contains(err.Error(), "is missing") || l.Health().OK {
		t.Errorf("%v", err)
	}
}

func TestRecordsCannotBeChangedOrRemovedByAccident(t *testing.T) {
	l := start(t, audit.Config{})
	l.add(t, "x")
	db := raw(t, l.path)
	for statement, want := range map[string]string{
		"UPDATE audit_events SET actor = 'me'": "audit records are not changed",
		"DELETE FROM audit_events":             "audit records are removed by retention only",
	} {
		if _, err := db.Exec(statement); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", statement, err)
		}
	}
	wantSound(t, l.path)
}

func TestATriggerThatSwallowsRecordsIsDetected(t *testing.T) {
	l := start(t, audit.Config{})
	l.add(t, "x")
	db := raw(t, l.path)
	sqlExec(t, db, "CREATE TRIGGER hide BEFORE INSERT ON audit_events WHEN NEW.actor = 'mallory' BEGIN SELECT RAISE(IGNORE); END")
	err := l.Append(t.Context(), audit.Record{Action: "y", Actor: "mallory"})
	if err == nil || !strings.Contains(err.Error(), "trigger on audit_events") {
		t.Fatalf("%v", err)
	}
	sqlExec(t, db, "DROP TRIGGER hide")
	eventually(t, "it is written without the trigger", func() bool { return l.Health().OK && len(all(t, l)) == 2 })
	wantSound(t, l.path)
}

func TestVerifySeesOneMomentWhileRecordsAreAppended(t *testing.T) {
	l := start(t, audit.Config{})
	l.add(t, "first")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			l.Append(context.Background(), audit.Record{Action: "x"}) //nolint:errcheck // Verify tells
		}
	}()
	for range 30 {
		report, err := l.Verify(t.Context())
		if err != nil || !report.OK || report.Records != report.Head.Seq {
			t.Errorf("%+v, %v", report, err)
		}
	}
	cancel()
	<-ended
	done, stop := context.WithCancel(t.Context())
	stop()
	if _, err := l.Verify(done); err == nil {
		t.Error("Verify went on after its context had ended")
	}
}

package audit_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/api/audit"
)

// originalSchema is what the original gateway's database has, in part: its tables that matter here, and the kind of trigger
// that its retention needs.
const originalSchema = `
CREATE TABLE audit_events (id TEXT PRIMARY KEY, timestamp DATETIME NOT NULL, action TEXT NOT NULL, target TEXT,
	actor TEXT NOT NULL DEFAULT 'defenseclaw', details TEXT, structured_json TEXT, severity TEXT, run_id TEXT, connector TEXT, kept INTEGER);
CREATE TABLE actions (id TEXT PRIMARY KEY, target_type TEXT NOT NULL, target_name TEXT NOT NULL, source_path TEXT,
	actions_json TEXT NOT NULL DEFAULT '{}', reason TEXT, updated_at DATETIME NOT NULL, connector TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX idx_actions_type_name_conn ON actions(target_type, target_name, connector);
CREATE TRIGGER keep_until AFTER INSERT ON audit_events BEGIN UPDATE audit_events SET kept = 1 WHERE rowid = NEW.rowid; END;`

// home is a data directory: an audit.db, and the file that a log has there.
type home struct{ original, own string }

func newHome(t testing.TB) home {
	dir := t.TempDir()
	return home{filepath.Join(dir, "audit.db"), filepath.Join(dir, "sidecar-audit.db")}
}

func (h home) config() audit.Config {
	return audit.Config{Path: h.own, Original: h.original, MaxAge: -1}
}

// adopted makes an audit.db of the original as an earlier version adopted it.
func (h home) adopted(t testing.TB) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("testdata", "version2.sql"))
	if err != nil {
		t.Fatal(err)
	}
	db := raw(t, h.original)
	sqlExec(t, db, "PRAGMA journal_mode=WAL", string(script), `CREATE TABLE scan_results (id TEXT PRIMARY KEY)`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func hashOf(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return string(sum[:])
}

// once runs a log on the home and stops it.
func (h home) once(t testing.TB) {
	t.Helper()
	l := start(t, h.config())
	l.add(t, audit.ActionStart)
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
}

func (h home) files(t testing.TB) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(h.own))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestALogOfAnEarlierVersionMovesToItsOwnFile(t *testing.T) {
	h := newHome(t)
	l := start(t, audit.Config{Path: h.original})
	l.add(t, "a", "b")
	if _, _, err := l.AddEntry(t.Context(), audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: "evil"}, ""); err != nil {
		t.Fatal(err)
	}
	// As after a crash: what was written last is only in SQLite's second file.
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(h.original + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(h.original+suffix+".kept", text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal"} {
		if err := os.Rename(h.original+suffix+".kept", h.original+suffix); err != nil {
			t.Fatal(err)
		}
	}
	again := start(t, h.config())
	if lists, err := again.Lists(); err != nil || len(lists.Block) != 1 {
		t.Fatalf("%+v, %v", lists, err)
	}
	again.add(t, "c")
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, h.own)
	if got := strings.Join(actions(all(t, read(t, h.own))), " "); got != "a b list-block audit-moved c" {
		t.Error(got)
	}
	if got := h.files(t); strings.HasPrefix(got, "audit.db") || strings.Contains(got, " audit.db") || strings.Contains(got, "head-of-audit.json") {
		t.Error(got)
	}
	h.once(t)
	wantSound(t, h.own)
}

func TestAnAdoptedDatabaseIsGivenBack(t *testing.T) {
	h := newHome(t)
	h.adopted(t)
	// The original wrote to it after that.
	db := raw(t, h.original)
	sqlExec(t, db, `INSERT INTO audit_events (id, timestamp, action) VALUES ('later', '2026-11-26', 'scan')`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	h.once(t)
	if report := wantSound(t, h.own); report.Records != 12 { // 10, the move and the start
		t.Errorf("%+v", report)
	}
	if lists, err := start(t, h.config()).Lists(); err != nil || len(lists.Allow) != 1 || lists.Allow[0].SourcePath != "/srv/mcp" {
		t.Errorf("%+v, %v", lists, err)
	}
	db = raw(t, h.original)
	if n := scan[int](t, db, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' OR name IN ('audit_chain', 'list_entries', 'audit_events_seq')"); n != 0 {
		t.Errorf("%d of our things are left", n)
	}
	if id := scan[int](t, db, "PRAGMA application_id") + scan[int](t, db, "PRAGMA user_version"); id != 0 {
		t.Error("our mark is left")
	}
	if n := scan[int](t, db, "SELECT count(*) FROM audit_events"); n != 11 {
		t.Errorf("%d records are left", n)
	}
	// Its retention works again.
	sqlExec(t, db, "UPDATE audit_events SET details = 'x'", "DELETE FROM audit_events WHERE timestamp < '2027'", "PRAGMA wal_checkpoint(TRUNCATE)")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := hashOf(t, h.original)
	h.once(t)
	if hashOf(t, h.original) != before {
		t.Error("it was touched again")
	}
}

func TestACrashWhileALogIsBroughtAlongLosesNothing(t *testing.T) {
	h := newHome(t)
	h.adopted(t)
	kept, err := os.ReadFile(h.original)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.own+".new", []byte("half a copy"), 0o600); err != nil { // a crash while it was copied
		t.Fatal(err)
	}
	h.once(t)
	if err := os.WriteFile(h.original, kept, 0o600); err != nil { // a crash after that, before the original had its file back
		t.Fatal(err)
	}
	h.once(t)
	if report := wantSound(t, h.own); report.Records != 13 {
		t.Errorf("%+v", report)
	}
	if id := scan[int](t, raw(t, h.original), "PRAGMA application_id"); id != 0 {
		t.Error("our mark is left")
	}
}

// An older version that ran again in between has begun another log, which must not be dropped.
func TestTwoLogsOfOursAreNotMixed(t *testing.T) {
	h := newHome(t)
	h.once(t)
	l := start(t, audit.Config{Path: h.original})
	l.add(t, "a")
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	before := hashOf(t, h.original)
	_, err := audit.New(h.config())
	if err == nil || !strings.Contains(err.Error(), "both hold an audit log") {
		t.Fatal(err)
	}
	if hashOf(t, h.original) != before {
		t.Error("it was changed")
	}
}

func TestADatabaseRemovedBeforeTheMoveIsNoticed(t *testing.T) {
	h := newHome(t)
	l := start(t, audit.Config{Path: h.original})
	if _, _, err := l.AddEntry(t.Context(), audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: "evil"}, ""); err != nil {
		t.Fatal(err)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(h.original); err != nil {
		t.Fatal(err)
	}
	if lists, err := start(t, h.config()).Lists(); err == nil || !strings.Contains(err.Error(), "the database was removed") {
		t.Errorf("%+v, %v", lists, err)
	}
}

func TestADamagedLogOfOursStopsTheStart(t *testing.T) {
	h := newHome(t)
	h.adopted(t)
	text, err := os.ReadFile(h.original)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(text); i++ {
		text[i] = 'x'
	}
	copy(text[100:], strings.Repeat("x", 3900))
	if err := os.WriteFile(h.original, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.New(h.config()); err == nil || !strings.Contains(err.Error(), "it is damaged") {
		t.Fatal(err)
	}
	if _, err := os.Stat(h.own); !errors.Is(err, os.ErrNotExist) {
		t.Error("an empty log was begun")
	}
}

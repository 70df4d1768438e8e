package audit_test

import (
	"database/sql"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/api/audit"
)

// makeOriginal makes the database of an original gateway with rows of its table actions: type, name, actions, reason.
func (h home) makeOriginal(t testing.TB, rows ...[4]any) *sql.DB {
	t.Helper()
	db := raw(t, h.original)
	sqlExec(t, db, "PRAGMA journal_mode=WAL", originalSchema)
	for i, r := range rows {
		const insert = "INSERT INTO actions (id, target_type, target_name, actions_json, reason, updated_at) VALUES (?, ?, ?, ?, ?, ?)"
		if _, err := db.Exec(insert, i, r[0], r[1], r[2], r[3], time.Date(2026, 8, 19, 10, i, 0, 5, time.UTC)); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func names(entries []audit.Entry) string {
	var all []string
	for _, e := range entries {
		all = append(all, e.TargetType+"/"+e.TargetName)
	}
	return strings.Join(all, " ")
}

func listsOf(t testing.TB, l interface{ Lists() (*audit.Lists, error) }) (block, allow string) {
	t.Helper()
	lists, err := l.Lists()
	if err != nil {
		t.Fatal(err)
	}
	return names(lists.Block), names(lists.Allow)
}

const (
	blocked = `{"install":"block"}`
	allowed = `{"install":"allow"}`
)

func TestTheListsOfTheOriginalDecideFromTheFirstStart(t *testing.T) {
	h := newHome(t)
	db := h.makeOriginal(t, [4]any{"skill", "evil-one", blocked, "stole keys"}, [4]any{"mcp", "bad", `{"file":"quarantine","install":"block"}`, nil},
		[4]any{"skill", "good", allowed, "reviewed"}, [4]any{"plugin", "aside", `{"file":"quarantine"}`, nil}, [4]any{"skill", "nothing", `{}`, nil})
	sqlExec(t, db, `INSERT INTO actions VALUES ('c1', 'skill', 'good', NULL, '`+blocked+`', 'for codex', '2026-08-19', 'codex')`,
		`INSERT INTO actions VALUES ('c2', 'skill', 'narrow', NULL, '`+allowed+`', '', '2026-08-19', 'codex')`,
		`INSERT INTO actions VALUES ('c3', 'skill', 'pinned', '/opt/pinned', '`+allowed+`', '', '2026-08-19', '')`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := hashOf(t, h.original)
	var told audit.Imported
	cfg := h.config()
	cfg.Imported = func(i audit.Imported) { told = i }
	l, err := audit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	// Before Run: admission may ask at once.
	if block, allow := listsOf(t, l); block != "mcp/bad skill/evil-one skill/good" || allow != "skill/pinned" {
		t.Errorf("%s; %s", block, allow)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	running := start(t, cfg)
	running.add(t, audit.ActionStart)
	lists, _ := running.Lists()
	if e := lists.Block[1]; e.Reason != "stole keys" || e.Actor != audit.ImportActor || !e.CreatedAt.Equal(time.Date(2026, 8, 19, 10, 0, 0, 5, time.UTC)) {
		t.Errorf("%+v", e)
	}
	if lists.Allow[0].SourcePath != "/opt/pinned" {
		t.Errorf("%+v", lists.Allow[0])
	}
	found := all(t, running)
	if got := strings.Join(actions(found), " "); got != "list-block list-block list-block list-allow list-import list-import list-import list-import list-import start" {
		t.Error(got)
	}
	last := found[8]
	if !strings.Contains(last.Message, "3 blocked, 1 allowed, 0 as they were, 4 left out") {
		t.Error(last.Message)
	}
	if first := string(found[0].Details); !strings.Contains(first, "stole keys") || !strings.Contains(first, "2026-08-19T10:00:00") || !strings.Contains(first, "audit.db") {
		t.Error(first)
	}
	for target, why := range map[string]string{
		"skill/good": "it is blocked as well", "skill/narrow": `for the connector "codex" only`, "plugin/aside": "quarantine", "skill/nothing": "neither",
	} {
		if !slices.ContainsFunc(found, func(r audit.Record) bool {
			return r.Target == target && r.Outcome == audit.OutcomeRefused && strings.Contains(r.Message, why)
		}) {
			t.Errorf("no record says of %s: %s", target, why)
		}
	}
	if err := running.stop(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, h.own)
	if told.Blocked != 0 {
		t.Errorf("the second start imported: %+v", told)
	}
	if hashOf(t, h.original) != before || strings.Contains(" "+h.files(t), " audit.db-") {
		t.Errorf("the original's file was touched: %s", h.files(t))
	}
}

func TestTheImportIsNotRepeatedButOffered(t *testing.T) {
	h := newHome(t)
	db := h.makeOriginal(t, [4]any{"skill", "evil", blocked, ""}, [4]any{"skill", "other", blocked, ""})
	l := start(t, h.config())
	if err := l.RemoveEntry(t.Context(), audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: "other"}, ""); err != nil {
		t.Fatal(err)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	l = start(t, h.config())
	if block, _ := listsOf(t, l); block != "skill/evil" || len(l.Offered()) != 0 {
		t.Errorf("%s, %v", block, l.Offered())
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	sqlExec(t, db, `INSERT INTO actions (id, target_type, target_name, actions_json, updated_at) VALUES ('n', 'skill', 'new', '`+blocked+`', 0)`)
	l = start(t, h.config())
	if block, _ := listsOf(t, l); block != "skill/evil" || names(l.Offered()) != "skill/other skill/new" {
		t.Errorf("%s, %v", block, l.Offered())
	}
	done, err := l.Import(t.Context(), audit.Import{Source: h.original, Entries: l.Offered()}, "ann", "")
	if err != nil || done.Blocked != 2 {
		t.Errorf("%+v, %v", done, err)
	}
	if block, _ := listsOf(t, l); block != "skill/evil skill/new skill/other" {
		t.Error(block)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, h.own)
}

func TestAnImportOnlyTightens(t *testing.T) {
	h := newHome(t)
	l := start(t, audit.Config{Path: h.own})
	for _, e := range []audit.Entry{
		{List: audit.ListAllow, TargetType: "skill", TargetName: "a"}, {List: audit.ListBlock, TargetType: "skill", TargetName: "b"},
	} {
		if _, _, err := l.AddEntry(t.Context(), e, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	h.makeOriginal(t, [4]any{"skill", "a", blocked, ""}, [4]any{"skill", "b", allowed, ""})
	l = start(t, h.config())
	if block, allow := listsOf(t, l); block != "skill/a skill/b" || allow != "" {
		t.Errorf("%s; %s", block, allow)
	}
}

func TestWhatHasNoPlaceOnAListIsNamed(t *testing.T) {
	h := newHome(t)
	long := strings.Repeat("n", 600)
	db := raw(t, h.original)
	sqlExec(t, db, "CREATE TABLE actions (target_type, target_name, actions_json, reason, updated_at, schema_version, more)",
		`INSERT INTO actions (target_type, target_name, actions_json) VALUES ('skill', NULL, '`+blocked+`'), (NULL, NULL, NULL), (7, 8.5, '`+blocked+`'),
		('skill', x'ff41', '`+blocked+`'), ('skill', 'ctl' || char(10), '`+blocked+`'), ('skill', 'ctl' || char(10), '`+allowed+`'), ('skill', 'json', '{'),
		('skill', 'odd', '{"install":7}'), ('skill', 'blob', CAST('`+blocked+`' AS BLOB))`)
	for _, r := range [][2]string{{long, blocked}, {strings.Repeat("m", 5000), blocked}, {long + "a", allowed}} {
		if _, err := db.Exec("INSERT INTO actions (target_type, target_name, actions_json, reason, updated_at) VALUES ('skill', ?, ?, ?, 'no time')", r[0], r[1], strings.Repeat("r", 9000)); err != nil {
			t.Fatal(err)
		}
	}
	sqlExec(t, db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "+
		"INSERT INTO actions (target_type, target_name, actions_json) SELECT 'mcp', 'm' || i, '"+blocked+"' FROM n")
	var mu sync.Mutex
	var told audit.Imported
	alarms := 0
	cfg := h.config()
	cfg.Imported = func(i audit.Imported) { mu.Lock(); told = i; mu.Unlock() }
	cfg.Alarm = func(audit.Record) { mu.Lock(); alarms++; mu.Unlock() }
	l := start(t, cfg)
	lists, err := l.Lists()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"\uFFFDA", "ctl\n", "blob", long} {
		if block, _ := lists.For("skill", name); len(block) != 1 {
			t.Errorf("%.20q is not blocked", name)
		}
	}
	if block, _ := lists.For("7", "8.5"); len(block) != 1 || len(lists.Block) != 3005 || len(lists.Allow) != 0 {
		t.Errorf("%d, %d", len(lists.Block), len(lists.Allow))
	}
	// The entry can be taken off again, whatever its name.
	if err := l.RemoveEntry(t.Context(), audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: long}, ""); err != nil {
		t.Error(err)
	}
	eventually(t, "the import is told", func() bool { mu.Lock(); defer mu.Unlock(); return told.Blocked == 3005 && alarms > 0 })
	if len(told.LeftOut) != 7 || alarms != 5 { // two of the left out are no block
		t.Errorf("%d alarms, left out: %+v", alarms, told.LeftOut)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, h.own)
}

// What is blocked in a file that cannot be read must not be let through.
func TestAnUnreadableListDecidesNothing(t *testing.T) {
	damage := func(t *testing.T, h home, from int) {
		h.makeOriginal(t, [4]any{"skill", "evil", blocked, ""}).Close()
		text, err := os.ReadFile(h.original)
		if err != nil {
			t.Fatal(err)
		}
		for i := from; i < len(text); i++ {
			text[i] = 0xa5
		}
		if err := os.WriteFile(h.original, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, make := range map[string]func(*testing.T, home){
		"damaged":        func(t *testing.T, h home) { damage(t, h, 4096) },
		"damaged schema": func(t *testing.T, h home) { damage(t, h, 100) },
		"text": func(t *testing.T, h home) {
			if err := os.WriteFile(h.original, []byte(strings.Repeat("no database ", 400)), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"a directory": func(t *testing.T, h home) {
			if err := os.Mkdir(h.original, 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"a link to nothing": func(t *testing.T, h home) {
			if err := os.Symlink("nowhere.db", h.original); err != nil {
				t.Fatal(err)
			}
		},
		"a schema without what is needed": func(t *testing.T, h home) { sqlExec(t, raw(t, h.original), "CREATE TABLE actions (target, state)") },
		"a schema of long ago": func(t *testing.T, h home) {
			sqlExec(t, raw(t, h.original), "CREATE TABLE block_list (id, target_type, target_name)")
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			make(t, h)
			l := start(t, h.config())
			if _, err := l.Lists(); err == nil || !strings.Contains(err.Error(), "the block list of the original gateway could not be taken over: read "+h.original) {
				t.Errorf("%v", err)
			}
			l.add(t, audit.ActionStart) // the log itself works
			if alarm := l.Health().Alarm; !strings.Contains(alarm, "move it away and start again") {
				t.Error(alarm)
			}
			if err := l.stop(); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(h.original); err != nil {
				t.Fatal(err)
			}
			if block, allow := listsOf(t, start(t, h.config())); block+allow != "" {
				t.Error(block, allow)
			}
		})
	}
}

func TestWhereTheOriginalHasNoListsNothingIsMissing(t *testing.T) {
	for name, make := range map[string]func(home) error{
		"no bytes":  func(h home) error { return os.WriteFile(h.original, nil, 0o600) },
		"no tables": func(h home) error { sqlExec(t, raw(t, h.original), "CREATE TABLE t (x); DROP TABLE t"); return nil },
		"no lists":  func(h home) error { sqlExec(t, raw(t, h.original), "CREATE TABLE audit_events (id)"); return nil },
	} {
		h := newHome(t)
		if err := make(h); err != nil {
			t.Fatal(err)
		}
		before := hashOf(t, h.original)
		if block, allow := listsOf(t, start(t, h.config())); block+allow != "" {
			t.Errorf("%s: %s %s", name, block, allow)
		}
		if hashOf(t, h.original) != before {
			t.Errorf("%s: it was touched", name)
		}
	}
}

func TestALockedListIsTakenOverWhenItCanBeRead(t *testing.T) {
	h := newHome(t)
	db := h.makeOriginal(t, [4]any{"skill", "evil", blocked, ""})
	sqlExec(t, db, "PRAGMA journal_mode=DELETE", "PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE",
		"INSERT INTO actions (id, target_type, target_name, actions_json, updated_at) VALUES ('n', 'skill', 'new', '"+blocked+"', 0)")
	l := start(t, h.config())
	if _, err := l.Lists(); err == nil || !strings.Contains(err.Error(), "another process has locked it") {
		t.Fatal(err)
	}
	sqlExec(t, db, "COMMIT")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lists decide", func() bool {
		lists, err := l.Lists()
		return err == nil && names(lists.Block) == "skill/evil skill/new"
	})
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, h.own)
}

// The original keeps its database open, and what it wrote last is not in the file itself.
func TestAnOriginalInUseIsReadAndLeftAlone(t *testing.T) {
	h := newHome(t)
	db := h.makeOriginal(t)
	sqlExec(t, db, "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_autocheckpoint=0",
		"INSERT INTO actions (id, target_type, target_name, actions_json, updated_at) VALUES ('n', 'skill', 'new', '"+blocked+"', 0)")
	before, log := hashOf(t, h.original), hashOf(t, h.original+"-wal")
	l := start(t, h.config())
	if block, _ := listsOf(t, l); block != "skill/new" {
		t.Error(block)
	}
	if hashOf(t, h.original) != before || hashOf(t, h.original+"-wal") != log {
		t.Error("it was touched")
	}
	sqlExec(t, db, "DELETE FROM actions")
}

// A gateway that was killed leaves what it wrote last in SQLite's second file, which must be read and must stay.
func TestAnOriginalThatWasKilledIsReadAndLeftAlone(t *testing.T) {
	h, killed := newHome(t), newHome(t)
	db := killed.makeOriginal(t)
	sqlExec(t, db, "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_autocheckpoint=0",
		"INSERT INTO actions (id, target_type, target_name, actions_json, updated_at) VALUES ('n', 'skill', 'new', '"+blocked+"', 0)")
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(killed.original + suffix)
		if err == nil {
			err = os.WriteFile(h.original+suffix, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	before, log := hashOf(t, h.original), hashOf(t, h.original+"-wal")
	l := start(t, h.config())
	if block, _ := listsOf(t, l); block != "skill/new" {
		t.Error(block)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if hashOf(t, h.original) != before || hashOf(t, h.original+"-wal") != log {
		t.Error("it was touched")
	}
}

func TestALinkedOriginalIsFollowed(t *testing.T) {
	h, elsewhere := newHome(t), newHome(t)
	elsewhere.makeOriginal(t, [4]any{"skill", "evil", blocked, ""}).Close()
	if err := os.Symlink(elsewhere.original, h.original); err != nil {
		t.Fatal(err)
	}
	if block, _ := listsOf(t, start(t, h.config())); block != "skill/evil" {
		t.Error(block)
	}
	if got := elsewhere.files(t); got != "audit.db" {
		t.Error(got)
	}
}

func TestAnEntryReplacesOneOnTheOtherList(t *testing.T) {
	l := start(t, audit.Config{})
	for _, list := range []string{audit.ListBlock, audit.ListAllow, audit.ListBlock} {
		if _, changed, err := l.AddEntry(t.Context(), audit.Entry{List: list, TargetType: "skill", TargetName: "x", Reason: "r"}, ""); err != nil || !changed {
			t.Fatal(changed, err)
		}
		block, allow := listsOf(t, l)
		if (block == "skill/x") != (list == audit.ListBlock) || (allow == "skill/x") != (list == audit.ListAllow) {
			t.Errorf("after %s: %q, %q", list, block, allow)
		}
	}
	if last := all(t, l)[2]; !strings.Contains(string(last.Details), `"removed":{"list":"allow"`) {
		t.Error(string(last.Details))
	}
	// A database of an earlier version may hold both: the same entry again ends that.
	sqlExec(t, raw(t, l.path), "INSERT INTO list_entries VALUES ('allow', 'skill', 'x', '', '', '', '', NULL)")
	if _, changed, err := l.AddEntry(t.Context(), audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: "x", Reason: "r"}, ""); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if block, allow := listsOf(t, l); block != "skill/x" || allow != "" {
		t.Errorf("%q, %q", block, allow)
	}
}

func TestTheRecordsOfTheOriginalAreReadWhileItWrites(t *testing.T) {
	h := newHome(t)
	db := h.makeOriginal(t)
	sqlExec(t, db, "PRAGMA wal_autocheckpoint=0", `INSERT INTO audit_events (id, timestamp, action, details, connector) VALUES
		('1', '2026-08-19 10:00:00.5 +0000 UTC m=+0.1', 'scan', 'first', 'codex'), ('2', '2026-08-20T10:00:00Z', 'block', NULL, NULL),
		('3', 'no time', 'scan', x'fffe', NULL)`)
	o, err := audit.OpenOriginal(t.Context(), h.original)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for _, c := range []struct {
		filter audit.Filter
		want   string
	}{
		{audit.Filter{}, "3 2 1"},
		{audit.Filter{Action: "scan"}, "3 1"},
		{audit.Filter{Limit: 1, Before: 3}, "2"},
		{audit.Filter{Since: time.Date(2026, 8, 19, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 8, 20, 0, 0, 0, 0, time.UTC)}, "1"},
		{audit.Filter{RequestID: "x"}, ""},
	} {
		found, err := o.Query(t.Context(), c.filter)
		var ids []string
		for _, r := range found {
			ids = append(ids, r.ID)
		}
		if got := strings.Join(ids, " "); err != nil || got != c.want {
			t.Errorf("%+v: %s, %v; want %s", c.filter, got, err, c.want)
		}
	}
	sqlExec(t, db, `INSERT INTO audit_events (id, timestamp, action) VALUES ('4', '2026-08-21', 'scan')`)
	if found, err := o.Query(t.Context(), audit.Filter{}); err != nil || len(found) != 4 {
		t.Errorf("%d, %v", len(found), err)
	}
}

// A reader that took the file as unused reads again when another process has come.
func TestAnOriginalThatIsStartedMeanwhileIsReadAgain(t *testing.T) {
	h := newHome(t)
	h.makeOriginal(t, [4]any{"skill", "evil", blocked, ""}).Close()
	o, err := audit.OpenOriginal(t.Context(), h.original)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	sqlExec(t, raw(t, h.original), "INSERT INTO actions (id, target_type, target_name, actions_json, updated_at) VALUES ('n', 'skill', 'new', '"+blocked+"', 0)")
	if im, err := o.Lists(t.Context()); err != nil || names(im.Entries) != "skill/evil skill/new" {
		t.Errorf("%+v, %v", im, err)
	}
}

// The lists of an older version that ran again can be imported from its log.
func TestTheListsOfALogOfOursCanBeImported(t *testing.T) {
	h := newHome(t)
	l := start(t, audit.Config{Path: h.original})
	if _, _, err := l.AddEntry(t.Context(), audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: "x"}, ""); err != nil {
		t.Fatal(err)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	o, err := audit.OpenOriginal(t.Context(), h.original)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if im, err := o.Lists(t.Context()); err != nil || names(im.Entries) != "skill/x" {
		t.Errorf("%+v, %v", im, err)
	}
}

package originalhome_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"defenseclaw/cmd/internal/testutil/originalhome"
)

// The homes must have what makes taking them over hard, or the scripts that do prove nothing.
func TestAHomeHasWhatTheOriginalLeaves(t *testing.T) {
	for _, o := range []originalhome.Options{{}, {Killed: true}, {Flat: true}} {
		dir := filepath.Join(t.TempDir(), "home")
		if err := originalhome.Make(dir, o); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"-wal", "-shm"} {
			if _, err := os.Stat(filepath.Join(dir, "audit.db"+suffix)); (err == nil) != o.Killed {
				t.Errorf("%+v: audit.db%s: %v", o, suffix, err)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "policies", "admission.rego")); (err == nil) != o.Flat {
			t.Errorf("%+v: flat modules: %v", o, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".making-*")); len(left) > 0 {
			t.Errorf("%+v left %v", o, left)
		}
		db, err := sql.Open("sqlite", filepath.Join(dir, "audit.db"))
		if err != nil {
			t.Fatal(err)
		}
		var events, stamped, blocked int
		const q = `SELECT count(*), count(retention_timestamp_unix_nano),
			(SELECT count(*) FROM actions WHERE json_extract(actions_json, '$.install') = 'block') FROM audit_events`
		if err := db.QueryRowContext(t.Context(), q).Scan(&events, &stamped, &blocked); err != nil {
			t.Fatal(err)
		}
		if events != originalhome.Events || stamped != events || blocked != 3 {
			t.Errorf("%+v: %d events, the trigger ran for %d, %d blocked", o, events, stamped, blocked)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := originalhome.Make(dir, o); err == nil {
			t.Errorf("%+v: a home was made over another", o)
		}
	}
}

package audit_test

import (
	"os"
	"path/filepath"
	"testing"

	"defenseclaw/api/audit"
)

// The database of testdata was written before records had named columns: its hashes must be the ones
// that today's code computes, also of the rows of an earlier system with other types than the log's.
func TestAnOlderDatabaseVerifiesAndContinues(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("testdata", "version2.sql"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "audit.db")
	sqlExec(t, raw(t, path), string(script))
	if report := wantSound(t, path); report.Records != 10 || report.Head.Seq != 10 {
		t.Fatalf("%+v", report)
	}
	l := start(t, audit.Config{Path: path, MaxAge: -1})
	l.add(t, audit.ActionStart)
	if _, _, err := l.AddEntry(t.Context(), audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: "x"}, ""); err != nil {
		t.Fatal(err)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if report := wantSound(t, path); report.Records != 12 {
		t.Errorf("%+v", report)
	}
}

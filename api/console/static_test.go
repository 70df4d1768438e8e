package console_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What is committed is what the lock file says, made by the script that is committed.
func TestTheScriptsAreWhatTheLockSays(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("static/lock.json")
	if err != nil {
		t.Fatal(err)
	}
	var lock struct{ Sources, Made map[string]string }
	if err := json.Unmarshal(text, &lock); err != nil {
		t.Fatal(err)
	}
	if len(lock.Sources) < 5 || len(lock.Made) < 5 {
		t.Fatalf("it has %d sources and %d files", len(lock.Sources), len(lock.Made))
	}
	for dir, sums := range map[string]map[string]string{"assets": lock.Sources, "static": lock.Made} {
		for name, want := range sums {
			content, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(content)
			if got := hex.EncodeToString(sum[:]); got != want {
				t.Errorf("%s/%s is not what static/lock.json says: make console-assets", dir, name)
			}
		}
	}
}

// A page needs no other place: nothing that is loaded by itself has a host in it.
func TestPagesLoadNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	loads := regexp.MustCompile(`(?i)(src|href|action|hx-[a-z]+)="(https?:)?//|@import|url\(`)
	inline := regexp.MustCompile(`(?i)<script>|<style|\son[a-z]+="|\sstyle="|javascript:`)
	pages, err := filepath.Glob("templates/*.html")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	for _, name := range append(pages, "static/console.css", "static/plot.css") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := loads.Find(text); found != nil {
			t.Errorf("%s loads from elsewhere: %s", name, found)
		}
		if found := inline.Find(text); found != nil && strings.HasSuffix(name, ".html") {
			t.Errorf("%s has what the security policy forbids: %s", name, found)
		}
	}
}

package console_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/api"
	"defenseclaw/engine"
	"defenseclaw/engine/history"
)

// served is a history of so many policies, a second each.
func served(t testing.TB, n int) *api.Past {
	t.Helper()
	store, err := history.New(history.Config{Dir: t.TempDir(), Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now().Add(-24 * time.Hour)
	for i := range n {
		files := fstest.MapFS{"p.rego": {Data: fmt.Appendf(nil, "package p\nx := %d", i)}}
		g, err := engine.Load(t.Context(), files, nil)
		if err == nil {
			_, err = store.SaveServed(t.Context(), history.Served{Generation: g, Trigger: "watch", At: begun.Add(time.Duration(i) * time.Second)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return &api.Past{Store: store}
}

var (
	olderLink = regexp.MustCompile(`<a href="([^"]+)">Older</a>`)
	rowTime   = regexp.MustCompile(`<td><time datetime="([^"]+)"`)
)

// TestTheTimelineHasEachAttemptOnOnePage, however many there are.
func TestTheTimelineHasEachAttemptOnOnePage(t *testing.T) {
	const entries = 120
	past := served(t, entries)
	b := open(t, map[string]string{"p.rego": "package p\nx := 1"}, func(c *api.Config) { c.Past = past }).browser()
	b.signIn(token)
	seen := map[string]bool{}
	address := "/console/timeline"
	for pages := 1; ; pages++ {
		status, page, _ := b.do(http.MethodGet, address, nil, nil)
		if status != http.StatusOK {
			t.Fatal(status, page)
		}
		for _, found := range rowTime.FindAllStringSubmatch(page, -1) {
			if seen[found[1]] {
				t.Errorf("page %d has the attempt of %s again", pages, found[1])
			}
			seen[found[1]] = true
		}
		link := olderLink.FindStringSubmatch(page)
		if link == nil {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		address = html.UnescapeString(link[1])
	}
	if len(seen) != entries {
		t.Errorf("%d attempts are shown, of %d", len(seen), entries)
	}
}

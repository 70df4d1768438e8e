package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/engine"
	"defenseclaw/engine/history"
)

// TestTheHistoryIsGivenInPages of which the entries are, together, those of the whole, each once.
func TestTheHistoryIsGivenInPages(t *testing.T) {
	store, err := history.New(history.Config{Dir: t.TempDir(), Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now().Add(-time.Hour)
	for n := range 7 {
		g, err := engine.Load(t.Context(), policy(map[string]string{"p.rego": fmt.Sprintf("package p\nx := %d", n)}), nil)
		if err == nil {
			_, err = store.SaveServed(t.Context(), history.Served{Generation: g, Trigger: "watch", At: begun.Add(time.Duration(n) * time.Second)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, func(c *api.Config, _ *engine.Config) { c.Past = &api.Past{Store: store} })
	ask := func(query url.Values) (numbers []uint64, last time.Time) {
		t.Helper()
		status, body, _ := s.request(http.MethodGet, "/policy/history?"+query.Encode(), "")
		var page []api.HistoryEntry
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s: %v", status, body, err)
		}
		for _, e := range page {
			numbers, last = append(numbers, e.Seq), e.ServedFrom
		}
		return numbers, last
	}
	whole, _ := ask(nil)
	if !slices.Equal(whole, []uint64{7, 6, 5, 4, 3, 2, 1}) {
		t.Fatal(whole)
	}
	var all []uint64
	for query := (url.Values{"limit": {"3"}}); ; {
		page, last := ask(query)
		if len(page) == 0 {
			break
		}
		if len(page) > 3 || len(all) > len(whole) {
			t.Fatalf("page %v after %v", page, all)
		}
		all = append(all, page...)
		query.Set("before", last.Format(time.RFC3339Nano))
	}
	if !slices.Equal(all, whole) {
		t.Errorf("the pages have %v, of %v", all, whole)
	}
}

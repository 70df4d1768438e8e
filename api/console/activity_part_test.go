package console

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
)

var rowsOf = regexp.MustCompile(`<tr><td><time datetime="([^"]+)" data-clock>`)

// A page that has the numbers of the minutes that are over is given the later ones alone, unless it has other columns, or none of
// the last hour.
func TestAPageIsGivenTheNumbersThatItLacks(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	answer := api.ActivityAnswer{From: from, To: from.Add(time.Hour), StepSeconds: 60}
	for at := from.Truncate(time.Minute); at.Before(answer.To); at = at.Add(time.Minute) {
		answer.Buckets = append(answer.Buckets, api.ActivityBucket{
			At: at, Decisions: 2, Outcomes: []api.ActivityOutcome{{Domain: "data", Verdict: "defined", Decisions: 2}},
		})
	}
	c := consoleOver(t, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(answer) })
	ask := func(since time.Time, columns string) (page string, rows int) {
		v, leave := visitOf(t, c, newSession())
		defer leave()
		query := url.Values{"part": {"activity"}, "since": {instant(since)}, "columns": {columns}}
		v.r = httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/console/?"+query.Encode(), nil)
		v.r.Header.Set("Hx-Request", "true")
		w := httptest.NewRecorder()
		v.w = w
		if err := c.now(v); err != nil {
			t.Fatal(err)
		}
		return w.Body.String(), len(rowsOf.FindAllString(w.Body.String(), -1))
	}
	const columns = "a second|p99|p50|data: defined|"
	whole, all := ask(time.Time{}, "")
	last := from.Add(time.Hour).Truncate(time.Minute) // the end of the last minute that is over
	if all != 3*62 || strings.Contains(whole, "data-part") || !strings.Contains(whole, `data-since="`+instant(last)+`" data-columns="`+columns+`"`) {
		t.Fatalf("%d rows\n%s", all, whole)
	}
	for since, want := range map[time.Time]int{last: 1, last.Add(-2 * time.Minute): 3, from: 61} {
		page, rows := ask(since, columns)
		if rows != 3*want || !strings.Contains(page, " data-part>") || !strings.Contains(page, `data-since="`+instant(last)+`"`) {
			t.Errorf("since %s: %d rows in\n%s", since, rows, page)
		}
	}
	if part, _ := ask(last, columns); len(part) > len(whole)/10 {
		t.Errorf("what is new has %d bytes of %d", len(part), len(whole))
	}
	for since, has := range map[time.Time]string{last: "other", from.Add(-time.Second): columns, answer.To.Add(time.Second): columns} {
		if page, rows := ask(since, has); rows != all || strings.Contains(page, "data-part") {
			t.Errorf("since %s of %s: %d rows in\n%s", since, has, rows, page)
		}
	}
}

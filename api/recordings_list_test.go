package api_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/api/decisionlog"
	"defenseclaw/api/gate"
	"defenseclaw/api/recorder"
	"defenseclaw/engine"
	"defenseclaw/engine/review/records"
)

var recordedPolicies = map[string]string{"app.rego": `package app

default allow := false

allow if input.user == "ann"

deny contains "no" if input.user == "bob"

level := input.level

knows if input.password == "open sesame"

text := input.text
`}

// runRecorder is a recorder of the default settings but for those in cfg.
func runRecorder(t testing.TB, cfg recorder.Config) (_ *recorder.Recorder, stop func()) {
	t.Helper()
	clean := decisionlog.NewCleaner(decisionlog.Config{}, engine.Path{"system", "record", "drop"})
	cfg.Clean, cfg.Masks, cfg.Share = clean.Clean, clean.Asks, 1
	r, err := recorder.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return r, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// asRecorded asks for the decisions that q chooses.
func asRecorded(t *testing.T, s *sidecar, q api.RecordedQuery, headers ...string) (list api.RecordedList) {
	t.Helper()
	status, body, _ := s.request("GET", "/policy/recordings/decisions?"+q.Values().Encode(), "", headers...)
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK {
		t.Fatalf("%+v: %d %s: %v", q, status, body, err)
	}
	return list
}

// recordedSidecar has made some decisions.
func recordedSidecar(t *testing.T, asked ...[2]string) *sidecar {
	t.Helper()
	s := fullOf(t, recordedPolicies)
	for _, q := range asked {
		if status, body, _ := s.request("POST", "/v1/data/"+q[0], `{"input":`+q[1]+`}`); status != http.StatusOK {
			t.Fatalf("%s: %d %s", q, status, body)
		}
	}
	recordingsUntil(t, s, "all are recorded", func(a api.RecordingsAnswer) bool { return a.Records == len(asked) })
	return s
}

func TestRecordedDecisionsAreListedByWhatTheyAre(t *testing.T) {
	long := strings.Repeat("é", 150)
	s := recordedSidecar(t, [][2]string{
		{"app/allow", `{"user":"ann"}`}, {"app/allow", `{"user":"Carla"}`}, {"app/deny", `{"user":"bob"}`}, {"app/deny", `{"user":"dan"}`},
		{"app/level", `{}`}, {"app/level", `{"level":3}`}, {"app/text", `{"text":"` + long + `"}`},
	}...)
	paths := func(q api.RecordedQuery) string {
		t.Helper()
		var found []string
		for _, d := range asRecorded(t, s, q).Decisions {
			found = append(found, d.Path+"="+string(d.Result))
		}
		slices.Sort(found)
		return strings.Join(found, " ")
	}
	for _, tc := range []struct {
		q    api.RecordedQuery
		want string
	}{
		{api.RecordedQuery{Path: "data.app.allow"}, "app/allow=false app/allow=true"},
		{api.RecordedQuery{Outcome: "allow"}, "app/allow=true app/deny=[]"},
		{api.RecordedQuery{Outcome: "deny"}, `app/allow=false app/deny=["no"] app/level=`},
		{api.RecordedQuery{Outcome: "other"}, "app/level=3 app/text="},
		{api.RecordedQuery{Outcome: "undefined"}, "app/level="},
		{api.RecordedQuery{Outcome: "defined", Path: "/app/level/"}, "app/level=3"},
		{api.RecordedQuery{Outcome: "error"}, ""},
		{api.RecordedQuery{Text: "carla"}, "app/allow=false"},
		{api.RecordedQuery{Text: "LEVEL"}, "app/level= app/level=3"},
		{api.RecordedQuery{Path: "app", Revision: "serving", Outcome: "deny", Text: "bob"}, `app/deny=["no"]`},
		{api.RecordedQuery{Revision: "ffffffff"}, ""},
	} {
		if got := paths(tc.q); got != tc.want {
			t.Errorf("%+v: %s, want %s", tc.q, got, tc.want)
		}
	}
	list := asRecorded(t, s, api.RecordedQuery{Path: "app/text"})
	if d := list.Decisions[0]; list.Records != 7 || d.Result != nil || !d.Defined || d.ResultBegins != `"`+strings.Repeat("é", 99)+"…" || d.Seen != 1 || d.Branch == "" {
		t.Errorf("%+v", list)
	}
	if by := asRecorded(t, s, api.RecordedQuery{Revision: list.Decisions[0].Revision[:15]}); len(by.Decisions) != 7 {
		t.Errorf("by revision: %+v", by)
	}
}

func TestAPageOfRecordedDecisionsSaysWhereTheNextBegins(t *testing.T) {
	var asked [][2]string
	for n := range 9 {
		asked = append(asked, [2]string{"app/level", fmt.Sprintf(`{"level":%d}`, n)})
	}
	s := recordedSidecar(t, asked...)
	var seen []string
	q := api.RecordedQuery{Limit: 4}
	for {
		list := asRecorded(t, s, q)
		for _, d := range list.Decisions {
			seen = append(seen, string(d.Result))
		}
		if q.Before = list.Next; list.Next == "" {
			break
		}
	}
	if got := strings.Join(seen, ""); got != "876543210" {
		t.Errorf("the pages have %s", got)
	}
}

// Who may not read inputs does not learn them from a search either.
func TestInputsAreForWhoMayChange(t *testing.T) {
	tokens := &named{}
	tokens.set("reader", gate.Token{Name: "reader", Scopes: gate.ScopeRead})
	const reader = "Authorization: Bearer reader"
	recording, stop := runRecorder(t, recorder.Config{})
	defer stop()
	s := start(t, recordedPolicies, func(c *api.Config, _ *engine.Config) { c.Recorder, c.FindToken = recording, tokens.find })
	s.request("POST", "/v1/data/app/allow", `{"input":{"user":"zebra"}}`)
	recordingsUntil(t, s, "it is recorded", func(a api.RecordingsAnswer) bool { return a.Records == 1 })
	mine := asRecorded(t, s, api.RecordedQuery{Text: "zebra"})
	if len(mine.Decisions) != 1 || !slices.Contains(mine.Searched, "input") {
		t.Fatalf("%+v", mine)
	}
	theirs := asRecorded(t, s, api.RecordedQuery{Text: "zebra"}, reader)
	if len(theirs.Decisions) != 0 || slices.Contains(theirs.Searched, "input") {
		t.Errorf("%+v", theirs)
	}
	if all := asRecorded(t, s, api.RecordedQuery{}, reader); len(all.Decisions) != 1 {
		t.Errorf("%+v", all)
	}
	target := "/policy/recordings/decisions/" + mine.Decisions[0].DecisionID
	if status, body, _ := s.request("GET", target, "", reader); status != http.StatusForbidden {
		t.Errorf("%d %s", status, body)
	}
}

func TestOneRecordedDecisionIsReadOnRecordOnce(t *testing.T) {
	s := recordedSidecar(t, [2]string{"app/allow", `{"user":"ann","password":"hidden-away"}`})
	id := asRecorded(t, s, api.RecordedQuery{}).Decisions[0].DecisionID
	for range 3 {
		status, body, _ := s.request("GET", "/policy/recordings/decisions/"+url.PathEscape(id), "")
		var d api.RecordedDecision
		if err := json.Unmarshal([]byte(body), &d); err != nil || status != http.StatusOK || d.DecisionID != id || string(d.Result) != "true" || d.Shape == "" {
			t.Fatalf("%d %s: %v", status, body, err)
		}
		if strings.Contains(body, "hidden-away") || !d.Masked || !strings.Contains(string(d.Input), `"ann"`) {
			t.Errorf("%s", body)
		}
	}
	_, body, _ := s.request("GET", "/audit/records?action="+api.ActionRecordRead, "")
	var answer struct{ Records []audit.Record }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.Records) != 1 || answer.Records[0].Target != id || answer.Records[0].Actor == "" {
		t.Errorf("%s: %v", body, err)
	}
	for _, other := range []string{"none", "%00", "..%2f..%2fetc", strings.Repeat("a", 5000)} {
		s.expect("GET", "/policy/recordings/decisions/"+other, "", http.StatusNotFound, "no such decision is recorded")
	}
}

func answersToRecordings(t *testing.T, o *openAPI) {
	s := recordedSidecar(t, [2]string{"app/allow", `{"user":"ann"}`}, [2]string{"app/level", `{}`}, [2]string{"app/text", `{"text":"` + strings.Repeat("a", 300) + `"}`})
	o.ask(s, question{"GET", "/policy/recordings/decisions?limit=1&outcome=", "", nil}, http.StatusOK)
	for _, d := range asRecorded(t, s, api.RecordedQuery{}).Decisions {
		o.ask(s, question{"GET", "/policy/recordings/decisions/" + d.DecisionID, "", nil}, http.StatusOK)
		o.ask(s, question{"GET", "/policy/recordings/decisions/" + d.DecisionID + "/test", "", nil}, http.StatusOK)
	}
	o.ask(s, question{"GET", "/policy/recordings/decisions?outcome=deny&before=2100-01-01T00:00:00Z", "", nil}, http.StatusOK)
	o.ask(s, question{"GET", "/policy/recordings/decisions?limit=0", "", nil}, http.StatusBadRequest, true)
	o.ask(s, question{"GET", "/policy/recordings/decisions/none", "", nil}, http.StatusNotFound)
	s.request("POST", "/v1/data/app/knows", `{"input":{"password":"open sesame"}}`)
	recordingsUntil(t, s, "it is recorded", func(a api.RecordingsAnswer) bool { return a.Records == 4 })
	masked := asRecorded(t, s, api.RecordedQuery{Path: "app/knows"}).Decisions[0].DecisionID
	o.ask(s, question{"GET", "/policy/recordings/decisions/" + masked + "/test", "", nil}, http.StatusConflict)
}

// BenchmarkRecordedPage is a page of 50 over the whole route, of 10,000 records.
func BenchmarkRecordedPage(b *testing.B) {
	dir := b.TempDir()
	writeRecords(b, filepath.Join(dir, recorder.FileName), 10_000)
	recording, stop := runRecorder(b, recorder.Config{Dir: dir})
	defer stop()
	for recording.Health().Records < 9_000 { // until the file is read
		time.Sleep(time.Millisecond)
	}
	s := start(b, recordedPolicies, func(c *api.Config, _ *engine.Config) { c.Recorder = recording })
	for name, query := range map[string]string{"newest": "", "denied": "outcome=deny", "no such text": "text=zebra"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, "/policy/recordings/decisions?"+query, nil)
				r.Host, r.RemoteAddr = "127.0.0.1", "127.0.0.1:1"
				r.Header.Set("Authorization", "Bearer "+token)
				w := httptest.NewRecorder()
				if s.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}

// writeRecords writes a file of n records, each of a kind of its own.
func writeRecords(t testing.TB, file string, n int) {
	t.Helper()
	all := make([]records.Record, n)
	for i := range all {
		all[i] = records.Record{
			DecisionID: fmt.Sprintf("0b5e9d3e-%d.1.0123456789ab", i), Path: fmt.Sprintf("app/p%d", i%50), Result: fmt.Appendf(nil, `{"allow":%v,"n":%d}`, i%3 > 0, i),
			Input: fmt.Appendf(nil, `{"user":"user %d","text":%q}`, i, strings.Repeat("some words ", 90)), Time: time.Unix(int64(i*7919%n), 0).UTC(), Branch: "b",
		}
	}
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	packed := gzip.NewWriter(out)
	if err := errors.Join(records.Write(packed, all), packed.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

package console

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"defenseclaw/api"
)

func TestTheLastHourInNumbers(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	of := func(domain, verdict string, n uint64) api.ActivityOutcome {
		return api.ActivityOutcome{Domain: domain, Verdict: verdict, Decisions: n}
	}
	h := hourOf(api.ActivityAnswer{
		StepSeconds: 60, To: at.Add(11*time.Minute - time.Second),
		Buckets: []api.ActivityBucket{
			{At: at, Decisions: 8, PerSecond: 0.125, P50: new(0.25), P99: new(120.4), Outcomes: []api.ActivityOutcome{of("data", "defined", 6), of("firewall", "deny", 2)}},
			{At: at.Add(time.Minute)},
			{At: at.Add(10 * time.Minute), Decisions: 10, PerSecond: 2, P50: new(1.0), P99: new(2.0), Outcomes: []api.ActivityOutcome{
				of("data", "defined", 5), of("firewall", "deny", 2), of("firewall", "allow", 1), of("audit", "retain", 1), of("data", "error", 1),
			}},
		},
		Reloads: []api.ActivityReload{{At: at, Status: "reloaded"}, {At: at.Add(time.Second), Status: "failed"}},
	})
	if h.Decisions != 18 || h.Marks != "2026-01-02T03:04:00Z,2026-01-02T03:04:01Z" || h.Reloads[0].Status != "failed" {
		t.Errorf("%+v", h)
	}
	values := func(p plotted) (all [][]string) {
		for _, row := range p.Rows {
			all = append(all, row.Values)
		}
		return all
	}
	for i, want := range [][][]string{
		{{""}, {"0.125"}, {"0"}, {""}, {"2.0"}}, // the process did not run before the last
		{{"", ""}, {"120", "0.25"}, {"", ""}, {"", ""}, {"2.0", "1.0"}},
		{{"", "", "", ""}, {"75.0", "25.0", "0", "0"}, {"", "", "", ""}, {"", "", "", ""}, {"50.0", "20.0", "10.0", "20.0"}},
	} {
		if got := values(h.Plots[i]); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", h.Plots[i].Title, got, want)
		}
	}
	if rows := h.Plots[0].Rows; !rows[0].At.Equal(at) || !rows[1].At.Equal(at.Add(time.Minute)) || !rows[4].At.Equal(at.Add(11*time.Minute-time.Second)) {
		t.Errorf("the rows are of %+v", rows)
	}
	if got := h.Plots[2].Heads; !slices.Equal(got, []string{"data: defined", "firewall: deny", "audit: retain", rest}) {
		t.Errorf("the outcomes are %v", got)
	}
}

package observe

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/watcher/fleet/record"
)

// serving are agents that serve these revisions; "-" is one that is silent.
func serving(revisions string) (all []fleet.Judged) {
	for _, r := range strings.Fields(revisions) {
		j := fleet.Judged{Agent: fleet.Agent{Ack: record.Ack{Serves: r}}}
		if r == "-" {
			j.Silent = time.Hour
		}
		all = append(all, j)
	}
	return all
}

func TestTheHourIsOfTheNewestMinutes(t *testing.T) {
	t.Parallel()
	var h hour
	begin := time.Date(2026, 11, 27, 10, 0, 20, 0, time.UTC)
	at := func(d time.Duration) time.Time { return begin.Add(d) }
	text := func(now time.Time) string {
		var parts []string
		for _, m := range h.until(now) {
			one := m.Until.Format("15:04")
			if m.Known {
				one += fmt.Sprint(m.Serve, m.Others, m.Silent)
			}
			parts = append(parts, one)
		}
		return strings.Join(parts, " ")
	}
	if got := text(begin); got != "" {
		t.Errorf("before anything: %s", got)
	}
	h.put(at(0), serving("a b b"), time.Minute)
	h.put(at(30*time.Second), serving("b b b"), time.Minute)
	h.put(at(3*time.Minute), serving("c - -"), time.Minute)
	if got, want := text(at(3*time.Minute)), "10:01[{b 3}] 0 0 10:02 10:03 10:04[{c 1}] 0 2"; got != want {
		t.Errorf("%s, and %s was expected", got, want)
	}
	// A later hour knows nothing of this one, also where its minutes have the same places.
	if got := h.until(at(2 * time.Hour)); len(got) != minutes+1 || got[0].Known || got[minutes].Known {
		t.Errorf("two hours later there are %d minutes: %+v", len(got), got)
	}
	for i := range 200 {
		h.put(at(time.Duration(i)*time.Minute), serving("d"), time.Minute)
	}
	all := h.until(at(199 * time.Minute))
	if len(all) != minutes+1 || !all[0].Known || all[minutes].Until != time.Date(2026, 11, 27, 13, 20, 0, 0, time.UTC) {
		t.Errorf("%d minutes, up to %s", len(all), all[len(all)-1].Until)
	}
	// Where the clock is set back, it begins anew.
	h.put(at(-time.Hour), serving("e"), time.Minute)
	if got, want := text(at(-time.Hour)), "09:01[{e 1}] 0 0"; got != want {
		t.Errorf("%s, and %s was expected", got, want)
	}
}

func TestAMinuteTellsFewRevisionsApart(t *testing.T) {
	t.Parallel()
	var h hour
	names := "most most"
	for i := range 1000 {
		names += fmt.Sprintf(" r%d", i)
	}
	now := time.Now()
	h.put(now, serving(names), time.Minute)
	m := h.until(now)[0]
	if len(m.Serve) != columns || m.Serve[0] != (fleet.Count{Revision: "most", Agents: 2}) || m.Others != 1000-columns+1 || cap(m.Serve) > 2*columns {
		t.Errorf("%+v, room for %d", m, cap(m.Serve))
	}
}

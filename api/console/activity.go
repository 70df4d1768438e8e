package console

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"defenseclaw/api"
)

// hour is what the page Now shows of the last one.
type hour struct {
	Decisions uint64
	Reloads   []api.ActivityReload // the newest first
	Marks     string               // their times, as plots take them
	Plots     []plotted

	// A page that has the rows up to a time, of the same columns, is given those after it.
	Since   time.Time // the last row that does not change any more; zero: none
	Columns string    // of all plots
	Part    bool      // earlier rows are left out
}

// plotted is a table of numbers that a script draws.
type plotted struct {
	Title   string
	Heads   []string
	Rows    []plotRow
	Nothing bool // no decision was made, so that there is nothing to draw
}

// plotRow is the minute up to a time. A value that is not there is empty.
type plotRow struct {
	At     time.Time
	Values []string
}

// activity asks for the last hour in minutes. Of a page that says what it has, it gives what is new.
func (v *visit) activity() (hour, error) {
	var answer api.ActivityAnswer
	if err := v.get("/policy/activity", url.Values{"step": {"60"}}, &answer); err != nil {
		return hour{}, err
	}
	h := hourOf(answer)
	query := v.r.URL.Query()
	if since, err := time.Parse(time.RFC3339Nano, query.Get("since")); err == nil && query.Get("columns") == h.Columns {
		h.after(since, answer.From, answer.To)
	}
	return h, nil
}

// after leaves out the rows up to a time, if it is one within the hour.
func (h *hour) after(since, from, to time.Time) {
	if since.Before(from) || since.After(to) {
		return
	}
	h.Part = true
	for i := range h.Plots {
		p := &h.Plots[i]
		p.Rows = slices.DeleteFunc(p.Rows, func(r plotRow) bool { return !r.At.After(since) })
	}
}

func hourOf(a api.ActivityAnswer) hour {
	h := hour{Reloads: slices.Clone(a.Reloads)}
	slices.Reverse(h.Reloads)
	marks := make([]string, 0, len(a.Reloads))
	for _, r := range a.Reloads {
		marks = append(marks, instant(r.At))
	}
	h.Marks = strings.Join(marks, ",")
	names := outcomesOf(a)
	rate := plotted{Title: "Decisions a second", Heads: []string{"a second"}}
	latency := plotted{Title: "Time of a decision, ms", Heads: []string{"p99", "p50"}}
	shares := plotted{Title: "Outcomes, % of decisions", Heads: names}
	for i, b := range a.Buckets {
		h.Decisions += b.Decisions
		if i == 0 || endOf(a, i-1).Before(b.At) { // a row without numbers begins the lines, and interrupts them
			for _, p := range []*plotted{&rate, &latency, &shares} {
				p.Rows = append(p.Rows, plotRow{b.At, make([]string, len(p.Heads))})
			}
		}
		end := endOf(a, i)
		if end.Before(a.To) {
			h.Since = end
		}
		rate.Rows = append(rate.Rows, plotRow{end, []string{number(b.PerSecond)}})
		latency.Rows = append(latency.Rows, plotRow{end, []string{optional(b.P99), optional(b.P50)}})
		shares.Rows = append(shares.Rows, plotRow{end, sharesOf(b, names)})
	}
	h.Plots = []plotted{rate, latency, shares}
	for i := range h.Plots {
		h.Plots[i].Nothing = h.Decisions == 0
		h.Columns += strings.Join(h.Plots[i].Heads, "|") + "|"
	}
	return h
}

// endOf is when a bucket ended, or the moment of the answer in the one that lasts still.
func endOf(a api.ActivityAnswer, i int) time.Time {
	end := a.Buckets[i].At.Add(time.Duration(a.StepSeconds) * time.Second)
	if a.To.Before(end) {
		return a.To
	}
	return end
}

// maxOutcomes are the lines of a plot that can be told apart; the last is of all others.
const (
	maxOutcomes = 4
	rest        = "all others"
)

// outcomesOf names the most frequent outcomes. A verdict is named with its domain: what one domain calls allow says nothing of
// another.
func outcomesOf(a api.ActivityAnswer) (names []string) {
	counts := map[string]uint64{}
	for _, b := range a.Buckets {
		for _, o := range b.Outcomes {
			counts[o.Domain+": "+o.Verdict] += o.Decisions
		}
	}
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int { return cmp.Or(cmp.Compare(counts[y], counts[x]), cmp.Compare(x, y)) })
	if len(names) > maxOutcomes {
		names = append(names[:maxOutcomes-1], rest)
	}
	return names
}

// sharesOf are those of a bucket in percent, in the order of the names.
func sharesOf(b api.ActivityBucket, names []string) []string {
	values := make([]string, len(names))
	if b.Decisions == 0 {
		return values
	}
	counts := make([]uint64, len(names))
	for _, o := range b.Outcomes {
		at := slices.Index(names, o.Domain+": "+o.Verdict)
		if at < 0 {
			at = len(names) - 1
		}
		counts[at] += o.Decisions
	}
	for i, n := range counts {
		values[i] = number(100 * float64(n) / float64(b.Decisions))
	}
	return values
}

// number has as many digits as a plot can show.
func number(v float64) string {
	switch {
	case v == 0 || v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}

func optional(v *float64) string {
	if v == nil {
		return ""
	}
	return number(*v)
}

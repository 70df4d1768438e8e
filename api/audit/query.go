package audit

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Filter selects records. Zero fields select all; the others must all hold, and texts are compared
// as a whole.
type Filter struct {
	Action, Actor, Target, Outcome, Severity, RequestID string

	Since, Until time.Time // Time is not before Since, and before Until
	After        int64     // Seq is greater: what is new since
	Before       int64     // Seq is less: the next page
	Limit        int       // default 100, at most 1,000
}

const (
	defaultLimit = 100
	highestLimit = 1000
)

// texts are the fields compared as texts, with their names in a query string and in the table.
func (f *Filter) texts() []struct {
	name  string
	value *string
} {
	return []struct {
		name  string
		value *string
	}{
		{"action", &f.Action}, {"actor", &f.Actor}, {"target", &f.Target}, {"outcome", &f.Outcome},
		{"severity", &f.Severity}, {"request_id", &f.RequestID},
	}
}

// ParseFilter reads a query string as [Filter.Values] writes it: action, actor, target, outcome,
// severity, request_id, since and until (RFC 3339, or a date), after, before and limit. The error
// names the parameter.
func ParseFilter(q url.Values) (Filter, error) {
	var f Filter
	read := map[string]func(string) error{
		"since":  func(s string) (err error) { f.Since, err = parseMoment(s); return err },
		"until":  func(s string) (err error) { f.Until, err = parseMoment(s); return err },
		"after":  func(s string) (err error) { f.After, err = parseCount(s); return err },
		"before": func(s string) (err error) { f.Before, err = parseCount(s); return err },
		"limit": func(s string) error {
			n, err := parseCount(s)
			if err == nil && (n < 1 || n > highestLimit) {
				err = fmt.Errorf("%d is not from 1 to %d", n, highestLimit)
			}
			f.Limit = int(n)
			return err
		},
	}
	for _, t := range f.texts() {
		read[t.name] = func(s string) error { *t.value = s; return nil }
	}
	for name, given := range q {
		do := read[name]
		switch {
		case do == nil:
			return Filter{}, fmt.Errorf("%q is no filter", cut(name, 64))
		case len(given) != 1:
			return Filter{}, fmt.Errorf("%s is given %d times", name, len(given))
		case len(given[0]) > longestText:
			return Filter{}, fmt.Errorf("%s has %d bytes: %d at most", name, len(given[0]), longestText)
		case given[0] == "":
			continue
		}
		if err := do(given[0]); err != nil {
			return Filter{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return f, nil
}

func parseMoment(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time such as 2026-11-23T09:30:00Z, nor a date such as 2026-11-23", cut(s, 64))
}

func parseCount(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a whole number from 0 on", cut(s, 64))
	}
	return n, nil
}

// Values is f as a query string that [ParseFilter] reads.
func (f Filter) Values() url.Values {
	q := url.Values{}
	for _, t := range f.texts() {
		if *t.value != "" {
			q.Set(t.name, *t.value)
		}
	}
	for name, t := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	for name, n := range map[string]int64{"after": f.After, "before": f.Before, "limit": int64(f.Limit)} {
		if n != 0 {
			q.Set(name, strconv.FormatInt(n, 10))
		}
	}
	return q
}

// Most is how many records a query gives at most.
func (f Filter) Most() int {
	if f.Limit <= 0 {
		return defaultLimit
	}
	return min(f.Limit, highestLimit)
}

// query never gives nil records: in JSON an empty list is a list.
func query(ctx context.Context, db querier, f Filter) ([]Record, error) {
	conditions, args := []string{"seq > ?"}, []any{f.After}
	where := func(condition string, arg any) {
		conditions, args = append(conditions, condition), append(args, arg)
	}
	for _, t := range f.texts() {
		if *t.value != "" {
			where(t.name+" = ?", *t.value)
		}
	}
	if !f.Since.IsZero() {
		where("timestamp >= ?", timeText(f.Since))
	}
	if !f.Until.IsZero() {
		where("timestamp < ?", timeText(f.Until))
	}
	if f.Before > 0 {
		where("seq < ?", f.Before)
	}
	records := []Record{}
	err := eachRow(ctx, db, "seq", "WHERE "+strings.Join(conditions, " AND ")+" ORDER BY seq DESC LIMIT "+strconv.Itoa(f.Most()), args, func(r *row) error {
		records = append(records, r.record())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read audit records: %w", explain(err))
	}
	return records, nil
}

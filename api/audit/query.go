package audit

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
)

// Filter selects the records that match all of its fields. Zero fields match every record; texts must be
// equal.
type Filter struct {
	Action, Actor, Target, Outcome, Severity, RequestID string

	Since, Until time.Time // Since is inclusive, Until exclusive
	After        int64     // matches greater Seq
	Before       int64     // matches smaller Seq, for the next page
	Limit        int       // default 100, at most 1,000
}

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// texts lists the text fields with their names, which the query string and the table share.
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
// severity, request_id, since and until (RFC 3339, a date, or a span before now such as 90m or 7d), after, before and limit. The
// error names the parameter.
func ParseFilter(q url.Values) (Filter, error) {
	var f Filter
	read := map[string]func(string) error{
		"since":  func(s string) (err error) { f.Since, err = parseMoment(s); return err },
		"until":  func(s string) (err error) { f.Until, err = parseMoment(s); return err },
		"after":  func(s string) (err error) { f.After, err = parseCount(s); return err },
		"before": func(s string) (err error) { f.Before, err = parseCount(s); return err },
		"limit": func(s string) error {
			n, err := parseCount(s)
			if err == nil && (n < 1 || n > maxLimit) {
				err = fmt.Errorf("%d is not between 1 and %d", n, maxLimit)
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
			return Filter{}, fmt.Errorf("unknown filter %q", cut(name, 64))
		case len(given) != 1:
			return Filter{}, fmt.Errorf("%s is given %d times", name, len(given))
		case len(given[0]) > maxTextBytes:
			return Filter{}, fmt.Errorf("%s has %d bytes: the maximum is %d", name, len(given[0]), maxTextBytes)
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
	if ago, ok := ParseSpan(s); ok {
		return time.Now().Add(-ago).UTC(), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time such as 2026-11-23T09:30:00Z, a date such as 2026-11-23, nor a span before now such as 90m or 7d", cut(s, 64))
}

// ParseSpan reads a duration of Go that is not negative, or a number of days: 90m or 7d.
func ParseSpan(s string) (d time.Duration, ok bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err == nil //nolint:gosec // 16 bits
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}

// Known returns what is wrong with a filter of the records of this program: a value that none of them ever has, which a
// mistyped one is. Another program's records may have it.
func (f *Filter) Known() error {
	for _, t := range []struct {
		name, value string
		known       []string
	}{
		{"outcome", f.Outcome, []string{OutcomeApplied, OutcomeUnchanged, OutcomeRefused, OutcomeFailed, OutcomeHeld}},
		{"severity", f.Severity, []string{SeverityInfo, SeverityWarn, SeverityHigh}},
		{"action", f.Action, Actions()},
	} {
		if t.value == "" || slices.Contains(t.known, t.value) {
			continue
		}
		if near := Nearest(t.value, t.known); near != "" {
			return fmt.Errorf("%s is %q, which no record has; did you mean %s?", t.name, cut(t.value, 64), near)
		}
		return fmt.Errorf("%s is %q, which no record has: expected %s", t.name, cut(t.value, 64), strings.Join(t.known, ", "))
	}
	return nil
}

// Nearest is the known value that a mistyped one most likely stands for, whatever its case; empty when none is near.
func Nearest(typed string, known []string) string {
	best, at := "", len(typed)/3+2
	for _, k := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(typed), strings.ToLower(k)); d < at {
			best, at = k, d
		}
	}
	return best
}

func parseCount(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a non-negative integer", cut(s, 64))
	}
	return n, nil
}

// Values returns f as a query string that [ParseFilter] reads.
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

// PageSize is the maximum number of records that a query returns: Limit, its default or its maximum.
func (f Filter) PageSize() int {
	if f.Limit <= 0 {
		return defaultLimit
	}
	return min(f.Limit, maxLimit)
}

// actionRejected was the action of refused reloads in earlier versions. Both actions find the records of both.
const actionRejected = "policy-reload-rejected"

// query returns an empty slice, not nil, if no record matches: JSON has [] then, not null.
func query(ctx context.Context, db querier, f Filter) ([]Record, error) {
	conditions, args := []string{"seq > ?"}, []any{f.After}
	where := func(condition string, arg any) {
		conditions, args = append(conditions, condition), append(args, arg)
	}
	for _, t := range f.texts() {
		switch {
		case *t.value == "":
		case t.name == "action" && *t.value == ActionPolicyReload:
			where("action IN (?, '"+actionRejected+"')", ActionPolicyReload)
		case t.name == "action" && *t.value == actionRejected:
			where("(action = ? OR action = '"+ActionPolicyReload+"' AND outcome = '"+OutcomeFailed+"')", actionRejected)
		default:
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
	selected := "WHERE " + strings.Join(conditions, " AND ") + " ORDER BY seq DESC LIMIT " + strconv.Itoa(f.PageSize())
	err := eachRow(ctx, db, "seq", selected, args, func(r *row) error {
		records = append(records, r.record())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read audit records: %w", explain(err))
	}
	return records, nil
}

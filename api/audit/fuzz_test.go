package audit_test

import (
	"net/url"
	"testing"

	"defenseclaw/api/audit"
)

// FuzzParseFilter reads any query string: what it takes, it takes again from what it wrote.
func FuzzParseFilter(f *testing.F) {
	for _, seed := range []string{
		"action=policy-reload&limit=10", "since=2026-11-23&until=2026-11-23T10:00:00Z", "before=4711&after=1", "limit=0", "since=yesterday", "colour=red",
		"action=a&action=b", "%zz", "severity=HIGH&outcome=failed&actor=x&target=y&request_id=z",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		filter, err := audit.ParseFilter(values)
		if err != nil {
			return
		}
		again, err := audit.ParseFilter(filter.Values())
		if err != nil || again != filter {
			t.Errorf("%q is %+v, and what that writes is %+v, %v", query, filter, again, err)
		}
	})
}

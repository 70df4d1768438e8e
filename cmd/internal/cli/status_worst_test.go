package cli

import (
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
)

func TestAStatusExitsByTheWorstPart(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	expired := api.Parts{Certificate: &api.CertificateStatus{File: "c.pem", NotAfter: now.Add(-time.Hour)}}
	pinned := now.Add(-5 * time.Minute)
	soon := api.Parts{Certificate: &api.CertificateStatus{File: "c.pem", NotAfter: time.Now().Add(time.Hour)}}
	for _, c := range []struct {
		status api.StatusAnswer
		code   int
		says   string
	}{
		{api.StatusAnswer{State: "current", StateSince: now.Add(-125 * time.Minute)}, 0, "WELL: decisions are made by the policy on disk, since "},
		{api.StatusAnswer{State: "current", Parts: soon}, 0, "WELL: "},
		{api.StatusAnswer{State: "current", Parts: expired}, exitPart, "WRONG: decisions are made, but certificate: c.pem expired at 2026-05-01T11:00:00Z"},
		{api.StatusAnswer{State: "current", Audit: &audit.Health{}}, exitPart, "WRONG: decisions are made, but the audit log is not written"},
		{api.StatusAnswer{State: "stale", StateSince: now.Add(-50 * time.Hour), Parts: expired}, exitStale, "(2 d 2 h); certificate: c.pem expired"},
		{api.StatusAnswer{State: "empty", Parts: expired}, exitFailure, "WRONG: nothing decides"},
		{api.StatusAnswer{State: "current", Control: &api.Control{Revision: "sha256:1"}}, exitStale, "LOOK: a policy decides that is not the newest one"},
		{
			api.StatusAnswer{State: "current", StateSince: now.Add(-50 * time.Hour), Control: &api.Control{Mode: "pinned", Revision: "sha256:1", Since: &pinned}},
			exitStale, "LOOK: a policy decides that is not the newest one, since " + at(pinned) + " (5 min)",
		},
	} {
		if got, text := statusCode(c.status), verdict(c.status, nil, now); got != c.code || !strings.Contains(text, c.says) {
			t.Errorf("%+v: %d %q; want %d %q", c.status, got, text, c.code, c.says)
		}
	}
	if got := roughly(125 * time.Minute); got != "2 h 5 min" {
		t.Error(got)
	}
}

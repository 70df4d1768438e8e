package consoleproof

import (
	"strings"
	"testing"

	"defenseclaw/cmd/internal/testutil"
)

// state is something that a sidecar can be in, and what its pages are like then.
type state struct {
	name  string
	flags []string
	files map[string]string
	reach func(t *testing.T, s *sidecar) // brings the sidecar there; nil: it starts there
	shows string                         // in the heading of Now
	out   bool                           // nobody is signed in
	pages []string                       // beside those of everyPage
}

// everyPage is looked at in every state. A new page is a row here.
var everyPage = []string{
	"/console/",
	"/console/timeline",
	"/console/compare?from=serving&to=disk",
	"/console/decisions",
	"/console/decisions?outcome=deny&text=nothing",
	"/console/try",
	"/console/try?path=p/allow&at=disk",
	"/console/policy",
	"/console/policy?file=p.rego&lines=reached",
	"/console/fleet",
	"/console/order?order=hold",
	noPage,
}

const (
	noPage      = "/console/there-is-no-such-page"
	hostileText = `<img src=x onerror=document.title='hurt'>`
	longName    = "a_name_that_goes_on_for_much_longer_than_a_narrow_window_has_room_for_and_has_no_place_to_break"
)

var (
	soundFiles = map[string]string{"p.rego": "package p\n\nx := 1\n\nallow if input.user == \"ann\"\n"}
	soundEdit  = "package p\n\nx := 2\n\nallow if input.user == \"bob\"\n"
)

// edited writes a file and waits until the status says something.
func edited(name, text, says string) func(*testing.T, *sidecar) {
	return func(t *testing.T, s *sidecar) {
		t.Helper()
		s.write(name, text)
		s.waitFor(t, says)
	}
}

func (s *sidecar) waitFor(t *testing.T, says string) {
	t.Helper()
	out := ""
	if !testutil.Eventually(func() bool {
		out, _ = s.try("policy", "status") // its exit code says how well all is
		return strings.Contains(out, says)
	}) {
		t.Fatalf("the status never says %q:\n%s", says, out)
	}
}

var states = []state{
	{name: "well", files: soundFiles, shows: "All is well", reach: edited("p.rego", soundEdit, "generation   2"), pages: []string{
		"/console/compare?from=1&to=2", "/console/policy?file=p.rego&line=3", "/console/policy?q=nothing-is-called-this",
		"/console/order?order=rollback&to=1", "/console/order?order=resume", "/console/timeline?before=nonsense",
	}},
	{
		name: "stale", files: soundFiles, shows: "does not serve", pages: []string{"/console/policy?file=p.rego&of=disk&line=3"},
		reach: edited("p.rego", "package p\n\nx := \""+hostileText+"\" +\n", "state        stale"),
	},
	{name: "empty", files: map[string]string{"p.rego": "package"}, shows: "No policy is loaded"},
	{name: "pinned", files: soundFiles, shows: "An order keeps", reach: func(_ *testing.T, s *sidecar) {
		s.run("policy", "hold", "--reason", hostileText+" "+longName)
	}},
	{
		name: "held", files: soundFiles, flags: []string{"--safety-mode", "hold", "--safety-hold", "always"}, shows: "waits for an approval",
		reach: edited("p.rego", soundEdit, "HELD"), pages: []string{"/console/order?order=approve", "/console/order?order=reject"},
	},
	{
		name: "confirming", files: soundFiles, flags: []string{"--safety-confirm", "1h"}, shows: "on trial",
		reach: edited("p.rego", soundEdit, "CONFIRMING"), pages: []string{"/console/order?order=confirm"},
	},
	{
		name: "long names", shows: "All is well", pages: []string{"/console/policy?file=" + longName + ".rego"},
		files: map[string]string{longName + ".rego": "package " + longName + "\n\n" + longName + " := \"" + strings.Repeat("x", 300) + "\"\n"},
	},
	{name: "signed out", files: soundFiles, shows: "Sign in", out: true, pages: []string{"/console/enter"}},
}

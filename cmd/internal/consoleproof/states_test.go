package consoleproof

import (
	"encoding/json"
	"net/http"
	"net/url"
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
	found func(s *sidecar) []string      // pages whose addresses are known once the state is reached; nil: none
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

// everyDecision are the pages of what is recorded, with and without a test.
func everyDecision(s *sidecar) (pages []string) {
	s.t.Helper()
	var list struct {
		Decisions []struct {
			ID string `json:"decision_id"`
		}
	}
	if err := json.Unmarshal([]byte(s.call(http.MethodGet, "/policy/recordings/decisions", "")), &list); err != nil || len(list.Decisions) == 0 {
		s.t.Fatalf("%d decisions: %v", len(list.Decisions), err)
	}
	for i, d := range list.Decisions {
		pages = append(pages, "/console/decisions/"+url.PathEscape(d.ID)+[]string{"", "?test=yes"}[i%2])
	}
	return pages
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
	{
		name: "decided", files: map[string]string{"p.rego": soundFiles["p.rego"], "roles.rego": rolePolicy + "\nbroken := x if some x in input.list\n"},
		flags: []string{"--safety-mode", "hold", "--safety-hold", "always"}, shows: "waits for an approval",
		reach: func(_ *testing.T, s *sidecar) {
			s.recorded(5, [2]string{"roles/allow", `{"role":"admin","size":3}`}, [2]string{"roles/allow", `{"role":"admin","size":30,"password":"hidden-away"}`},
				[2]string{"roles/allow", `{"role":"` + hostileText + `"}`}, [2]string{"roles/broken", `{"list":["` + strings.Repeat("long ", 100) + `"]}`}, [2]string{"roles", `{}`})
			s.write("roles.rego", strings.Replace(rolePolicy, "10", "50", 1))
			s.held()
		},
		pages: []string{
			"/console/try?path=roles/allow&at=serving&beside=candidate&input=" + url.QueryEscape(`{"role":"admin","size":30}`),
			"/console/try?path=roles/nothing&input=1", "/console/compare?from=serving&to=held", "/console/policy?file=roles.rego&lines=reached",
			"/console/policy?lines=reached", "/console/policy?q=allow&in=text", "/console/policy?file=roles.rego&of=held&line=7", "/console/decisions?outcome=allow",
		},
		found: everyDecision,
	},
	{name: "signed out", files: soundFiles, shows: "Sign in", out: true, pages: []string{"/console/enter"}},
}

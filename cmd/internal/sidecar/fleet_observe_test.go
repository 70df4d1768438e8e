package sidecar_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"
	"defenseclaw/cmd/internal/testutil"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"

	"go.uber.org/zap"
)

// crowd are light agents of the channel.
func (f *fleetOf) crowd(n int) *fleettest.Crowd {
	f.t.Helper()
	text, err := os.ReadFile(f.keys)
	if err != nil {
		f.t.Fatal(err)
	}
	keys, err := record.ParseKeys(text)
	if err != nil {
		f.t.Fatal(err)
	}
	c := fleettest.NewCrowd(n, "prod", keys)
	for _, one := range c.Agents {
		one.Revision = f.revision
	}
	c.Run(f.t, f.broker.URL())
	return c
}

// fleetSeen asks who follows the channel until something is so.
func fleetSeen(t *testing.T, client *api.Client, what string, is func(api.FleetAnswer) bool) (answer api.FleetAnswer) {
	t.Helper()
	var err error
	if !testutil.Eventually(func() bool {
		answer, err = client.Fleet(t.Context(), api.FleetQuery{})
		return err == nil && is(answer)
	}) {
		t.Fatalf("never seen: %s; last: %+v, %v", what, answer, err)
	}
	return answer
}

func agentsIn(t *testing.T, client *api.Client, q api.FleetQuery) (names string, answer api.FleetAnswer) {
	t.Helper()
	answer, err := client.Fleet(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, a := range answer.List {
		all = append(all, a.Agent)
	}
	return strings.Join(all, " "), answer
}

func TestASidecarShowsWhoFollowsItsChannel(t *testing.T) {
	f := newFleet(t)
	first := f.publish(policyFiles("1")...)
	environment := f.follow(t.TempDir())
	environment["DEFENSECLAW_SOURCE_OBSERVE_URL"] = environment["DEFENSECLAW_SOURCE"]
	set, _, _, _ := startWith(t, environment)
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	crowd := f.crowd(4)
	a := fleetSeen(t, client, "five agents serve the first", func(a api.FleetAnswer) bool { return a.Converged && a.Agents == 5 })
	if a.Channel != "prod" || a.Record == nil || a.Record.Target != first.Target.Revision || a.Record.By != "ann@example.org" || a.States["serves"] != 5 ||
		len(a.Serve) != 1 || a.SeenAt == nil || a.Rollout != nil || a.Error != "" {
		t.Errorf("%+v", a)
	}
	newest := a.Hour.Minutes[len(a.Hour.Minutes)-1]
	if len(a.Hour.Revisions) != 1 || !newest.Known || newest.Agents[0] != 5 {
		t.Errorf("the hour: %+v", a.Hour)
	}

	bad, packed := f.release("p.rego", "package p\n\nx := oops")
	for _, one := range crowd.Agents[:3] {
		one.Refuse.Store(&bad.Target.Revision)
	}
	f.move(bad, packed)
	a = fleetSeen(t, client, "four refuse", func(a api.FleetAnswer) bool { return a.States["refused"] == 4 && a.States["serves"] == 1 })
	if len(a.Refusals) != 2 || a.Refusals[0].Error != "it refuses this one" || a.Refusals[0].Agents != 3 || fmt.Sprint(a.Refusals[0].Names) != "[a0 a1 a2]" ||
		a.Refusals[1].Code != "policy" || !strings.Contains(a.Refusals[1].Error, "p.rego:3") || fmt.Sprint(a.Refusals[1].Names) != "[web-1]" || a.Converged {
		t.Errorf("by reason: %+v", a.Refusals)
	}

	for q, want := range map[api.FleetQuery]string{
		{}:                                     "a0 a1 a2 a3 web-1",
		{State: "refused"}:                     "a0 a1 a2 web-1",
		{State: "serves"}:                      "a3",
		{State: "silent"}:                      "",
		{Q: "WEB"}:                             "web-1",
		{Q: "nobody"}:                          "",
		{Limit: 2}:                             "a0 a1",
		{After: "a1"}:                          "a2 a3 web-1",
		{Revision: "none"}:                     "",
		{Revision: "sha256"}:                   "", // no digits of a revision
		{Revision: first.Target.Revision[:20]}: "a0 a1 a2 web-1",
		{Revision: bad.Target.Revision}:        "a3",
	} {
		if got, answer := agentsIn(t, client, q); got != want || q.Limit == 2 && answer.Next != "a1" || q.Limit == 0 && answer.Next != "" {
			t.Errorf("%+v: %q, next %q", q, got, answer.Next)
		}
	}
	_, answer := agentsIn(t, client, api.FleetQuery{Q: "web"})
	if one := answer.List[0]; one.Labels["ring"] != "canary" || one.State != "refused" || one.Serves != first.Target.Revision || one.Wants != bad.Target.Revision || answer.Matching != 1 {
		t.Errorf("%+v", one)
	}
}

// A machine without an agent shows a channel, and decides by its own policy whatever becomes of the broker.
func TestAMachineWithoutAnAgentShowsAChannel(t *testing.T) {
	f := newFleet(t)
	f.publish(policyFiles("1")...)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.rego"), []byte("package p\n\nx := 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{"DEFENSECLAW_POLICY_DIR": dir, "DEFENSECLAW_SOURCE_KEYS": f.keys, "DEFENSECLAW_SOURCE_OBSERVE_URL": f.broker.URL() + "/prod"}
	set, _, logged, _ := startWith(t, environment)
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	f.crowd(2)
	fleetSeen(t, client, "two agents", func(a api.FleetAnswer) bool { return a.Agents == 2 && a.Converged })
	if s := statusOf(t, client); s.Source != nil || s.PolicyDir != dir {
		t.Errorf("%+v", s)
	}
	f.broker.Stop()
	a := fleetSeen(t, client, "the broker is away", func(a api.FleetAnswer) bool { return a.Error != "" })
	if a.Agents != 2 || a.Record == nil || !strings.Contains(answerOf(t, client), "7") {
		t.Errorf("what was seen last: %+v", a)
	}
	f.broker.Start()
	fleetSeen(t, client, "the broker is back", func(a api.FleetAnswer) bool { return a.Error == "" })
	if logged.FilterMessageSnippet("cannot be observed").Len() == 0 || logged.FilterMessageSnippet("observed again").Len() != 1 {
		t.Errorf("the log: %+v", logged.All())
	}
}

func TestNoChannelIsObservedUnlessItIsAskedFor(t *testing.T) {
	f := newFleet(t)
	f.publish(policyFiles("1")...)
	set, _, _, _ := startWith(t, f.follow(t.TempDir()))
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	refused := new(api.AnswerError)
	if _, err := client.Fleet(t.Context(), api.FleetQuery{}); !errors.As(err, &refused) || refused.StatusCode != http.StatusServiceUnavailable || !strings.Contains(err.Error(), "source.observe") {
		t.Errorf("%v", err)
	}
}

func TestKeysThatAreNotThereRefuseTheStart(t *testing.T) {
	t.Parallel()
	environment := map[string]string{
		"DEFENSECLAW_HOME": t.TempDir(), "DEFENSECLAW_API_PORT": "0",
		"DEFENSECLAW_SOURCE_KEYS": filepath.Join(t.TempDir(), "none"), "DEFENSECLAW_SOURCE_OBSERVE_URL": "nats://127.0.0.1:1/prod",
	}
	set, err := settings.Resolve(func(string) (string, bool) { return "", false }, func(name string) string { return environment[name] })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sidecar.New(sidecar.Config{Settings: set, Logger: zap.NewNop()}); err == nil || !strings.Contains(err.Error(), "the keys of the channel") {
		t.Errorf("%v", err)
	}
}

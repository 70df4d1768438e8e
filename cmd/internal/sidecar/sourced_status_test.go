package sidecar_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/testutil/opabundles"

	"defenseclaw/api"
	"defenseclaw/api/bundlestatus"
)

// lastStatus is what the service was told last of a bundle.
func lastStatus(t *testing.T, web *service, name string) (whole bundlestatus.Update, b bundlestatus.Bundle) {
	t.Helper()
	all := web.got("/status/here")
	if len(all) == 0 {
		return whole, b
	}
	text, err := json.Marshal(all[len(all)-1])
	if err == nil {
		err = json.Unmarshal(text, &whole)
	}
	if err != nil {
		t.Fatal(err)
	}
	return whole, whole.Bundles[name]
}

func TestTheServiceIsToldHowItGoesWithABundle(t *testing.T) {
	web := newService(t)
	web.publish(t, "/bundles/authz", `"1"`, opabundles.Manifest("a1", "p"), policyOf("1"))
	set, _, _, _ := startWith(t, configured(t, `
services: {acme: {url: "`+web.URL+`"}}
labels: {region: north}
bundles: {authz: {`+fast+`}}
status: {partition_name: here}
keys: {k: {private_key: a secret that nobody may see}}
`))
	client := clientFor(t, set)
	eventually(t, "it is active", func() bool { _, b := lastStatus(t, web, "authz"); return b.ActiveRevision == "a1" && b.Code == "" })
	whole, first := lastStatus(t, web, "authz")
	if whole.Labels["region"] != "north" || whole.Labels["id"] == "" || whole.Plugins["bundle"].State != "OK" || first.Size == 0 || first.LastSuccessfulActivation.IsZero() {
		t.Errorf("%+v", whole)
	}

	web.publish(t, "/bundles/authz", `"2"`, opabundles.Manifest("a2", "p"), policyOf("oops"))
	eventually(t, "its error is told with its place", func() bool {
		_, b := lastStatus(t, web, "authz")
		return b.Code == "bundle_error" && len(b.Errors) == 1 && b.Errors[0].Location.File == "p.rego" && b.Errors[0].Location.Row == 3
	})
	if _, b := lastStatus(t, web, "authz"); b.ActiveRevision != "a1" || !b.LastSuccessfulActivation.Equal(first.LastSuccessfulActivation) {
		t.Errorf("the activation moved without one: %+v", b)
	}
	if s, err := client.Status(t.Context()); err != nil || s.State != "stale" {
		t.Error(s.State, err)
	}

	web.publish(t, "/bundles/authz", `"3"`, opabundles.Manifest("a3", "p"), policyOf("3"))
	eventually(t, "the next is active", func() bool {
		_, b := lastStatus(t, web, "authz")
		return b.ActiveRevision == "a3" && b.Code == "" && b.Errors == nil
	})

	endpoint, err := set.Endpoint()
	if err != nil {
		t.Fatal(err)
	}
	config := textOf(t, "http://"+endpoint.Addr+"/v1/config")
	for _, want := range []string{`"region":"north"`, `"default_decision":"/system/main"`, `"authz":{`, `"id":"` + whole.Labels["id"]} {
		if !strings.Contains(config, want) || strings.Contains(config, "nobody may see") {
			t.Errorf("%s; %s was expected", config, want)
		}
	}
	metrics := textOf(t, "http://"+endpoint.Addr+"/metrics")
	for _, want := range []string{
		`bundle_loaded_counter{name="authz"} 2`, `bundle_failed_load_counter{code="bundle_error",message="compile",name="authz"} 1`,
		`last_success_bundle_activation{active_revision="a3",name="authz"} 1.`, `last_bundle_request{name="authz"} 1.`,
		`last_success_bundle_request{name="authz"} 1.`, `last_success_bundle_download{name="authz"} 1.`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}

	if _, err := client.Order(t.Context(), "rollback", api.ControlRequest{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a rollback is told", func() bool { _, b := lastStatus(t, web, "authz"); return b.ActiveRevision == "a1" })
}

func textOf(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestAServiceThatHangsDelaysNothing never lets the service of the status answer.
func TestAServiceThatHangsDelaysNothing(t *testing.T) {
	web, release := newService(t), make(chan struct{})
	web.publish(t, "/bundles/authz", `"1"`, policyOf("1"))
	hang := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(hang.Close)
	t.Cleanup(func() { close(release) }) // before the server is closed, which waits for its requests
	set, _, _, _ := startWith(t, configured(t, `
services: {acme: {url: "`+web.URL+`"}, slow: {url: "`+hang.URL+`"}}
bundles: {authz: {service: acme, `+fast+`}}
status: {service: slow}
`))
	client := clientFor(t, set)
	for _, n := range []string{"2", "3", "4"} {
		web.publish(t, "/bundles/authz", `"`+n+`"`, policyOf(n))
		eventually(t, n+" serves", func() bool { return askFor(t, client, "p/x") == n })
	}
}

package extauthz_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	managerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// example is the block of that language in docs/how-to/envoy.md.
func example(t *testing.T, language string) string {
	t.Helper()
	document, err := os.ReadFile("../../docs/how-to/envoy.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(document)
	if m == nil {
		t.Fatalf("docs/how-to/envoy.md has no example in %s", language)
	}
	return string(m[1])
}

func TestThePolicyOfTheDocumentDecidesAsItSays(t *testing.T) {
	s := start(t, map[string]string{"p.rego": example(t, "rego"), "data.json": `{"staff": {"k1": "ada"}}`}, nil)
	const order = `{"request": {"http": {"method": "POST", "path": "/orders", "headers": {"x-api-key": "k1", "content-type": "application/json"}, "body": "{\"amount\": AMOUNT}"}}}`
	const denied = `{"status":{"code":7},"deniedResponse":{"status":{"code":"Forbidden"},"body":"not allowed\n"},"dynamicMetadata":{}}`
	if got := s.answer(get("/public/logo.png")); got != `{"status":{},"okResponse":{"headersToRemove":["x-staff"]},"dynamicMetadata":{}}` {
		t.Error(got)
	}
	if got := s.answer(get("/orders")); got != denied {
		t.Error(got)
	}
	if got := s.answer(request(t, strings.Replace(order, "AMOUNT", "100", 1))); got != `{"status":{},"okResponse":{"headers":[{"header":{"key":"x-staff","value":"ada"},"append":false}],"headersToRemove":["x-api-key"]},"dynamicMetadata":{}}` {
		t.Error(got)
	}
	for _, other := range []string{strings.Replace(order, "AMOUNT", "101", 1), strings.Replace(strings.Replace(order, "AMOUNT", "1", 1), "k1", "k2", 1)} {
		if got := s.answer(request(t, other)); got != denied {
			t.Error(got)
		}
	}
}

// TestTheConfigurationOfTheDocumentIsOneOfEnvoy by Envoy's own schema, which knows names, types and what is required.
func TestTheConfigurationOfTheDocumentIsOneOfEnvoy(t *testing.T) {
	var config any
	if err := yaml.Unmarshal([]byte(example(t, "yaml")), &config); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	bootstrap := &bootstrapv3.Bootstrap{}
	if err := protojson.Unmarshal(raw, bootstrap); err != nil {
		t.Fatal(err)
	}
	if err := bootstrap.ValidateAll(); err != nil {
		t.Error(err)
	}
	manager, filter := &managerv3.HttpConnectionManager{}, &authzv3.ExtAuthz{}
	if err := bootstrap.GetStaticResources().GetListeners()[0].GetFilterChains()[0].GetFilters()[0].GetTypedConfig().UnmarshalTo(manager); err != nil {
		t.Fatal(err)
	}
	if err := manager.ValidateAll(); err != nil {
		t.Error(err)
	}
	if err := manager.GetHttpFilters()[0].GetTypedConfig().UnmarshalTo(filter); err != nil {
		t.Fatal(err)
	}
	if err := filter.ValidateAll(); err != nil {
		t.Error(err)
	}
}

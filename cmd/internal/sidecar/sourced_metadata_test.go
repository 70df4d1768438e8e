package sidecar_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// cloudOf is the service of a cloud that tells its machines who they are. It gives another token each time.
func cloudOf(t *testing.T, admit func(*http.Request) bool, answer func(w http.ResponseWriter, token string)) (server *httptest.Server, valid func(string) bool) {
	t.Helper()
	tokens := make(chan string, 1)
	tokens <- ""
	n := 0
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-tokens
		if !admit(r) {
			tokens <- ""
			http.Error(w, "{}", http.StatusBadRequest)
			return
		}
		n++
		token := fmt.Sprintf("token-%d", n)
		tokens <- token
		answer(w, token)
	}))
	t.Cleanup(server.Close)
	return server, func(header string) bool {
		newest := <-tokens
		tokens <- newest
		return newest != "" && header == "Bearer "+newest
	}
}

func plainToken(w http.ResponseWriter, token string) { _, _ = w.Write([]byte(token)) }

func jsonToken(w http.ResponseWriter, token string) {
	_ = json.NewEncoder(w).Encode(map[string]string{"access_token": token, "token_type": "Bearer", "expires_in": "3600"})
}

func ofGoogle(r *http.Request) bool { return r.Header.Get("Metadata-Flavor") == "Google" }

func TestGooglesMetadataServiceIsAskedWhoThisIs(t *testing.T) {
	for name, try := range map[string]struct {
		credentials string
		path, query string
		answer      func(http.ResponseWriter, string)
	}{
		"identity": {
			`audience: "https://bundles"`, "/computeMetadata/v1/instance/service-accounts/default/identity", "audience=https://bundles", plainToken,
		},
		"access": {
			`scopes: [a, b]`, "/computeMetadata/v1/instance/service-accounts/default/token", "scopes=a,b",
			func(w http.ResponseWriter, token string) {
				_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cloud, valid := cloudOf(t, func(r *http.Request) bool {
				return ofGoogle(r) && r.URL.Path == try.path && r.URL.RawQuery == try.query
			}, try.answer)
			web := newService(t)
			web.admit = func(r *http.Request) bool { return valid(r.Header.Get("Authorization")) }
			serves(t, web, `credentials: {gcp_metadata: {`+try.credentials+`, endpoint: "`+cloud.URL+`"}}`)
		})
	}
}

func TestAzuresMetadataServiceIsAskedWhoThisIs(t *testing.T) {
	const resource = "resource=https%3A%2F%2Fstorage.azure.com%2F"
	t.Run("of a machine", func(t *testing.T) {
		cloud, valid := cloudOf(t, func(r *http.Request) bool {
			return r.Header.Get("Metadata") == "true" && r.URL.Path == "/metadata/identity/oauth2/token" && r.URL.RawQuery == "api-version=2018-02-01&client_id=me&"+resource
		}, jsonToken)
		web := newService(t)
		web.admit = func(r *http.Request) bool { return valid(r.Header.Get("Authorization")) }
		serves(t, web, `credentials: {azure_managed_identity: {client_id: me, endpoint: "`+cloud.URL+`/metadata/identity/oauth2/token"}}`)
	})
	t.Run("of an app service", func(t *testing.T) {
		cloud, valid := cloudOf(t, func(r *http.Request) bool {
			return r.Header.Get("X-IDENTITY-HEADER") == "sesame" && r.URL.RawQuery == "api-version=2019-08-01&"+resource
		}, jsonToken)
		t.Setenv("IDENTITY_ENDPOINT", cloud.URL)
		t.Setenv("IDENTITY_HEADER", "sesame")
		web := newService(t)
		web.admit = func(r *http.Request) bool { return valid(r.Header.Get("Authorization")) }
		serves(t, web, `credentials: {azure_managed_identity: {}}`)
	})
}

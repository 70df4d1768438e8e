package sidecar_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"

	"go.uber.org/zap"
)

// serves reports what a sidecar with credentials gets of a service.
func serves(t *testing.T, web *service, credentials string, more ...string) {
	t.Helper()
	web.publish(t, "/bundles/b", `"1"`, policyOf("1"))
	set, _, _, _ := startWith(t, configured(t, `
services: {acme: {url: "`+web.URL+`", `+credentials+`}}
bundles: {b: {`+fast+`}}
`, more...))
	client := clientFor(t, set)
	s, err := client.Status(t.Context())
	if got := askFor(t, client, "p/x"); got != "1" {
		t.Errorf("%s: %+v %v; %d requests were refused", got, s.Source, err, web.refused)
	}
}

func TestATokenIsReadFromItsFileForEachRequest(t *testing.T) {
	web, file := newService(t), filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("sesame"), 0o600); err != nil {
		t.Fatal(err)
	}
	web.admit = func(r *http.Request) bool { return r.Header.Get("Authorization") == "Custom sesame" }
	serves(t, web, `credentials: {bearer: {scheme: Custom, token_path: "`+file+`"}}`)
}

func TestOAuth2AsksForAToken(t *testing.T) {
	asked := make(chan string, 10)
	issuer := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		asked <- fmt.Sprint(id, " ", secret, " ", r.FormValue("grant_type"), " ", r.FormValue("scope"))
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "sesame", "token_type": "bearer", "expires_in": 3600})
	}))
	t.Cleanup(issuer.Close)
	web := newService(t)
	web.admit = func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer sesame" }
	serves(t, web, `allow_insecure_tls: true, credentials: {oauth2: {token_url: "`+issuer.URL+`", client_id: me, client_secret: "${OAUTH_SECRET}", scopes: [read]}}`,
		"OAUTH_SECRET", "mine")
	if got := <-asked; got != "me mine client_credentials read" {
		t.Error(got)
	}
}

func TestAServiceMayDemandACertificate(t *testing.T) {
	dir := t.TempDir()
	pool, clients := x509.NewCertPool(), newAuthority(t)
	pool.AddCert(clients.cert)
	clients.issue(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	plain := newService(t)
	web := &service{bundles: plain.bundles, posted: plain.posted, Server: httptest.NewUnstartedServer(plain)}
	web.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12}
	web.StartTLS()
	t.Cleanup(web.Close)
	ca := filepath.Join(dir, "server.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	serves(t, web, fmt.Sprintf(`tls: {ca_cert: %q}, credentials: {client_tls: {cert: %q, private_key: %q}}`, ca, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")))
}

// TestRequestsToS3AreSigned computes what Amazon computes of a request.
func TestRequestsToS3AreSigned(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret of mine")
	t.Setenv("AWS_REGION", "eu-central-1")
	web := newService(t)
	web.admit = func(r *http.Request) bool {
		return r.Header.Get("Authorization") == amazonSignature(r, "AKID", "secret of mine")
	}
	serves(t, web, `credentials: {s3_signing: {environment_credentials: {}}}`)
}

func amazonSignature(r *http.Request, id, secret string) string {
	_, list, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	list, _, _ = strings.Cut(list, ",")
	names := strings.Split(list, ";")
	if !slices.Contains(names, "host") || !slices.Contains(names, "x-amz-date") {
		return "host and date have to be signed"
	}
	var headers strings.Builder
	for _, name := range names {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, value)
	}
	request := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, headers.String(), list, r.Header.Get("X-Amz-Content-Sha256")}, "\n")
	at := r.Header.Get("X-Amz-Date")
	scope := at[:8] + "/eu-central-1/s3/aws4_request"
	sum := sha256.Sum256([]byte(request))
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	signature := hex.EncodeToString(mac(key, strings.Join([]string{"AWS4-HMAC-SHA256", at, scope, hex.EncodeToString(sum[:])}, "\n")))
	return fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s", id, scope, list, signature)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// TestCredentialsOfCloudsAreTaken only starts: who issues their tokens answers in their clouds.
func TestCredentialsOfCloudsAreTaken(t *testing.T) {
	for _, credentials := range []string{
		`gcp_metadata: {audience: "https://bundles.example.com"}`,
		`azure_managed_identity: {resource: "https://storage.azure.com/"}`,
		`s3_signing: {metadata_credentials: {aws_region: us-east-1, iam_role: mine}}`,
		`s3_signing: {web_identity_credentials: {aws_region: us-east-1}}`,
		`oauth2: {grant_type: jwt_bearer, token_url: "https://x", signing_key: k, scopes: [a]}`,
	} {
		t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/x")
		t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/none")
		environment := configured(t, `
services: {s: {url: "https://bundles.example.com", credentials: {`+credentials+`}}}
keys: {k: {algorithm: HS256, private_key: "a secret that is long enough for this"}}
bundles: {b: {}}
`, "DEFENSECLAW_HOME", t.TempDir(), "DEFENSECLAW_API_PORT", "0", "DEFENSECLAW_GATEWAY_TOKEN", token)
		set, err := settings.Resolve(func(string) (string, bool) { return "", false }, func(name string) string { return environment[name] })
		if err != nil {
			t.Fatal(err)
		}
		s, err := sidecar.New(sidecar.Config{Settings: set, Logger: zap.NewNop()})
		if err != nil {
			t.Error(credentials, err)
			continue
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Run(ctx, func() {}); err != nil {
			t.Error(credentials, err)
		}
	}
}

package decisionlog_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"defenseclaw/api/decisionlog"
	"defenseclaw/api/internal/decision"

	"github.com/open-policy-agent/opa/v1/ast"
)

// event logs one decision with cfg: the document at path for input.
func event(t *testing.T, cfg decisionlog.Config, path, input string) map[string]any {
	t.Helper()
	var console buffer
	cfg.Console = &console
	l := run(t, cfg)
	decide(t, l.Log, load(t, map[string]string{"p.rego": decisions}), path, input)
	l.stopped()
	events := console.lines(t)
	if len(events) != 1 {
		t.Fatalf("%d events, dropped %v", len(events), l.Health().Dropped)
	}
	return events[0]
}

const marked = "s3cret-mark"

// marks are places where callers put secrets, in any protocol. %s is the secret.
var marks = []string{
	`{"authorization":"%s"}`, `{"Authorization":["%s"]}`, `{"headers":{"cookie":"a=%s"}}`, `{"headers":{"Set-Cookie":["a=%s"]}}`, `{"cookies":{"a":"%s"}}`,
	`{"x-api-key":"%s"}`, `{"Proxy-Authorization":"%s"}`, `{"X-Vault-Token":"%s"}`, `{"x-functions-key":"%s"}`, `{"Ocp-Apim-Subscription-Key":"%s"}`,
	`{"db_password":"%s"}`, `{"dbPassword":"%s"}`, `{"PASSWORD_2":"%s"}`, `{"newPassword":{"value":"%s"}}`, `{"user":{"pwd":"%s"}}`, `{"userPIN":"%s"}`,
	`{"client_secret":"%s"}`, `{"secrets":{"db":{"main":"%s"}}}`, `{"aws_secret_access_key":"%s"}`, `{"accessKeyId":"%s"}`, `{"signingKey":"%s"}`,
	`{"refresh_tokens":["%s"]}`, `{"token":{"value":"%s","type":"x"}}`, `{"token":["%s",1]}`, `{"csrfToken":"%s"}`, `{"id_token_hint":"%s"}`, `{"SAMLResponse":"%s"}`,
	`{"client_assertion":"%s"}`, `{"session_id":"%s"}`, `{"JSESSIONID":"%s"}`, `{"basicAuth":"%s"}`, `{"jwt":"%s"}`, `{"signature":"%s"}`, `{"private_key":"%s"}`,
	`{"credentials":[{"user":"a","is":"%s"}]}`, `{"one-time-otp":"%s"}`,
	`{"list":[{"name":"Authorization","value":"%s"}]}`, `{"list":[{"key":"x-api-key","rawValue":"%s"}]}`, `{"rawHeaders":["Host","h","Cookie","%s"]}`, `{"pairs":[["password","%s"]]}`,
	`{"path":"/a?api_key=%s"}`, `{"path":"/a#access_token=%s&x=1"}`, `{"url":"https://u:%s@example.com/"}`, `{"url":"https://example.com/?X-Amz-Signature=%s"}`, `{"path":"/a?pass%%77ord=%s"}`,
	`{"body":"user=a&password=%s"}`, `{"body":"{\"a\":{\"password\":\"%s\"}}"}`, `{"body":"a: 1\npassword: %s\n"}`, `{"body":"export DB_PASSWORD=%s"}`,
	`{"body":"<a><password>%s</password></a>"}`, `{"body":"--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n%s\r\n--x--"}`,
	`{"log":"request {\"token\":\"%s\"} failed"}`, `{"log":"GET / HTTP/1.1\nHost: a\nAuthorization: %s"}`, `{"text":"{\"in\":\"{\\\"token\\\":\\\"%s\\\"}\"}"}`,
	`{"subject":{"type":"user","id":"a","properties":{"password":"%s"}}}`, `{"context":{"headers":{"authorization":"Bearer %s"}}}`, `{"note":"Bearer %s"}`,
	`{"ssn":"%s"}`, `{"employeeSSN":"%s"}`,
}

func TestSecretsAreErasedWhereverTheyAre(t *testing.T) {
	for _, mark := range marks {
		e := event(t, decisionlog.Config{SecretNames: []string{"ssn"}}, "p/object", fmt.Sprintf(mark, marked))
		if got := text(t, e); strings.Contains(got, marked) || !strings.Contains(got, `"/input/`) || !strings.Contains(got, `"/result/`) {
			t.Errorf("%s is logged as %s", mark, got)
		}
	}
}

func TestSecretsAreErasedByTheirLooks(t *testing.T) {
	for _, secret := range []string{
		"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "see eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln here", "-----BEGIN RSA PRIVATE KEY-----\nMII", "-----BEGIN PRIVATE KEY-----",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("user:word")), "bearer abc", "Digest username=\"a\", response=\"b\"", "token 0123456789abcdef", "DPoP abc",
		"AWS4-HMAC-SHA256 Credential=a, Signature=b", "postgres://user:word@host/db", "ghp_" + strings.Repeat("a", 36), "github_pat_" + strings.Repeat("a", 30),
		"glpat-" + strings.Repeat("a", 20), "xoxb-1234567890-abc", "sk-" + strings.Repeat("a", 40), "sk_live_" + strings.Repeat("a", 24), "AKIA" + strings.Repeat("A", 16),
		"AIza" + strings.Repeat("a", 35), "npm_" + strings.Repeat("a", 36), "hvs." + strings.Repeat("a", 24),
	} {
		for _, document := range []any{map[string]any{"note": secret}, []any{1, secret}, map[string]any{"text": "before\n" + secret}} {
			if first, _, _ := strings.Cut(secret, " "); strings.HasPrefix(text(t, document), `{"text"`) && slices.Contains([]string{"Basic", "bearer", "Digest", "token", "DPoP", "AWS4-HMAC-SHA256"}, first) {
				continue // schemes begin the value of a header
			}
			if e := event(t, decisionlog.Config{}, "p/object", text(t, document)); strings.Contains(text(t, e), secret[:min(12, len(secret))]) || len(e["erased"].([]any)) != 2 {
				t.Errorf("%s is logged as %s", text(t, document), text(t, e))
			}
		}
	}
}

// TestATextWithTooManyNamesIsErased has a text that would hold up the log, with a secret behind what is looked at.
func TestATextWithTooManyNamesIsErased(t *testing.T) {
	for _, unit := range []string{"a=b&", "a: b\n", "<a>b</a>", `"a":"b",`} {
		e := event(t, decisionlog.Config{}, "p/boring", text(t, map[string]string{"body": strings.Repeat(unit, 10_000) + "password=" + marked, "other": "kept"}))
		if got := text(t, e["input"]); got != `{"other":"kept"}` {
			t.Errorf("%s is logged as %.100s", unit, got)
		}
	}
}

func TestWhatIsNoSecretIsLogged(t *testing.T) {
	for _, input := range []string{
		`{"token_type":"Bearer","expires_in":60,"max_tokens":5,"prompt_tokens":7}`, `{"token":{"kind":"x","claims":{"sub":"alice"}}}`, `{"password_policy":"strong","secret":true}`,
		`{"key":"value","primary_key":"id","public_key":"abc","cache_key":"a"}`, `{"author":"alice","authority":"x","passenger":"bob","spinner":"a","footprint":"b","compass":"n"}`,
		`{"note":"basic authentication is off","other":"Bearers of news","third":"a token of thanks"}`, `{"path":"/a?b=c&d=e","url":"https://example.com:8080/x?y=z"}`,
		`{"session":{"user":"alice"},"auth":{"method":"sso","user":"a"}}`, `{"time":"12:30:00","text":"a = b; c: d"}`, `{"name":"alice","value":"x"}`, `["a","b"]`, `{"request_headers_to_remove":["x-api-key","cookie"]}`,
		`{"secret_name":"db","key_id":"1","tokenizer":"bpe"}`, `{"target_type":"skill","target_name":"x","path":"/tmp/x","scan_result":{"max_severity":"HIGH","total_findings":1}}`,
	} {
		if e := event(t, decisionlog.Config{}, "p/object", input); e["erased"] != nil {
			t.Errorf("%s: erased %v", input, e["erased"])
		}
	}
	e := event(t, decisionlog.Config{PlainNames: []string{"next-token", "Cookie_Consent"}}, "p/object", `{"nextToken":"a","cookie_consent":"yes","token":"`+marked+`"}`)
	if got := text(t, e["input"]); got != `{"cookie_consent":"yes","nextToken":"a"}` {
		t.Errorf("exempt names: %s", got)
	}
}

func TestSecretsInQueriesAndErrorsAreErased(t *testing.T) {
	var console buffer
	l := run(t, decisionlog.Config{Console: &console})
	g := load(t, map[string]string{"p.rego": decisions})
	for query, want := range map[string]string{
		`input.password = "` + marked + `"`:          `input.password = "[erased]"`,
		`x = "Bearer ` + marked + `"`:                `x = "[erased]"`,
		`data.p.object[x] = "kept"`:                  `data.p.object[x] = "kept"`,
		"input.a = `{\"token\":\"" + marked + "\"}`": `input.a = "[erased]"`,
	} {
		l.Begin(t.Context(), g, decision.Question{ID: "id", Query: ast.MustParseBody(query)})(decision.Answer{Err: fmt.Errorf("input: password: %s", marked)})
		eventually(t, "it is logged", func() bool { return len(console.lines(t)) > 0 })
		e := console.lines(t)[0]
		console.b.Reset()
		if e["query"] != want || strings.Contains(text(t, e), marked) || text(t, e["error"]) != `{"code":"internal_error"}` {
			t.Errorf("%s is logged as %s", query, text(t, e))
		}
	}
}

const fromEnvoy = `{"attributes":{"request":{"http":{"method":"POST","path":"/a","headers":{":path":"/a","user-agent":"curl","x-envoy-peer":"p","x-custom":"` + marked + `"},
	"headerMap":{"headers":[{"key":"accept","value":"a"},{"key":"x-other","value":"` + marked + `"}]},"body":"` + marked + `","rawBody":"` + marked + `"}}},
	"parsed_body":{"card":"` + marked + `"},"parsed_path":["a"]}`

func TestOnlyAllowedHeadersAndNoBodiesOfEnvoyAreLogged(t *testing.T) {
	e := event(t, decisionlog.Config{}, "p/boring", fromEnvoy)
	const want = `{"attributes":{"request":{"http":{"headerMap":{"headers":[{"key":"accept","value":"a"},null]},` +
		`"headers":{":path":"/a","user-agent":"curl","x-envoy-peer":"p"},"method":"POST","path":"/a"}}},"parsed_path":["a"]}`
	if got := text(t, e["input"]); got != want {
		t.Errorf("input is\n%s, want\n%s", got, want)
	}
	const http = `"/input/attributes/request/http/`
	if got := text(t, e["erased"]); got != `[`+http+`body",`+http+`rawBody","/input/parsed_body",`+http+`headers/x-custom",`+http+`headerMap/headers/1"]` {
		t.Errorf("erased is %s", got)
	}
	e = event(t, decisionlog.Config{EnvoyHeaders: []string{"X-Cust*", ":path"}, EnvoyBodies: true}, "p/boring", fromEnvoy)
	if got := text(t, e["erased"]); got != `[`+http+`headers/user-agent",`+http+`headers/x-envoy-peer",`+http+`headerMap/headers/0",`+http+`headerMap/headers/1"]` {
		t.Errorf("with settings, erased is %s", got)
	}
	e = event(t, decisionlog.Config{EnvoyHeaders: []string{"*"}}, "p/boring", strings.ReplaceAll(fromEnvoy, "x-custom", "x-token"))
	if got := text(t, e["erased"]); strings.Contains(got, "user-agent") || !strings.Contains(got, "x-token") {
		t.Errorf("with all headers, erased is %s", got)
	}
}

package besideopa_test

import (
	"testing"

	"defenseclaw/cmd/internal/testutil/opabundles"
)

// step publishes something, and says what both must come to know of their bundles.
type step struct {
	name    string
	bundle  string
	etag    string
	archive func(*testing.T) []byte // nil: the bundle is taken away
	want    string                  // see one.bundles
}

func of(files ...[2]string) func(*testing.T) []byte {
	return func(t *testing.T) []byte { t.Helper(); return opabundles.Packed(t, files...) }
}

// ofSigned is a bundle that is signed for a scope.
func ofSigned(scope string, files ...[2]string) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		t.Helper()
		return opabundles.Packed(t, opabundles.Signed(t, scope, files...)...)
	}
}

func authzBundle(revision, rule string) func(*testing.T) []byte {
	return of(opabundles.Manifest(revision, "http"), [2]string{"a.rego", "package http.authz\n\nallow if " + rule})
}

func rolesBundle(revision, admin string) func(*testing.T) []byte {
	return of(opabundles.Manifest(revision, "roles"), [2]string{"roles/data.json", `{"admin": "` + admin + `"}`})
}

const (
	polled = `
services: {acme: {url: "%s", headers: {X-Who: %q}}} # and no credentials: OPA's plugins share them without a lock
status: {service: acme}
default_decision: /http/authz/allow
`
	fastly = `polling: {min_delay_seconds: 0, max_delay_seconds: 0}`
	isRole = `data.roles.admin == input.user`
)

// TestTheSameBundlesGiveTheSameAnswersAsOPA has one server of bundles, OPA as opa run --server -c starts it, and a sidecar,
// both with the same configuration.
func TestTheSameBundlesGiveTheSameAnswersAsOPA(t *testing.T) {
	questions := []string{
		`/v1/data/http/authz/allow {"input":{"user":"alice"}}`, `/v1/data/http/authz/allow {"input":{"user":"bob"}}`, `/v1/data/roles`, `/v1/data/roles/admin`,
		`/v1/data/none`, `/v1/data/system/bundles/authz/manifest`, `/v1/data/system/bundles/roles/manifest`, `/ {"user":"alice"}`, `/health`, `/health?bundles`, `/health?plugins`,
	}
	two := []step{
		{"the first of two", "authz", `"1"`, authzBundle("a1", isRole), ""},
		{"both are there", "roles", `"1"`, rolesBundle("r1", "alice"), `{"authz":"a1 ","roles":"r1 "}`},
	}
	const twoBundles = polled + "bundles: {authz: {" + fastly + "}, roles: {" + fastly + "}}"
	for _, row := range []struct {
		name, config string
		steps        []step
	}{
		{"several bundles with roots", twoBundles, append(two[:2:2],
			step{"one of them changes", "roles", `"2"`, rolesBundle("r2", "bob"), `{"authz":"a1 ","roles":"r2 "}`},
			step{"the other changes", "authz", `"2"`, authzBundle("a2", "input.user == \"bob\""), `{"authz":"a2 ","roles":"r2 "}`},
		)},
		{"a bad bundle", twoBundles, append(two[:2:2],
			step{"it does not compile", "authz", `"bad"`, authzBundle("a2", "nothing_of_that_name"), `{"authz":"a1 bundle_error","roles":"r1 "}`},
			step{"the other changes meanwhile", "roles", `"2"`, rolesBundle("r2", "bob"), `{"authz":"a1 bundle_error","roles":"r2 "}`},
			step{"it is no archive", "authz", `"worse"`, func(*testing.T) []byte { return []byte("no archive") }, `{"authz":"a1 bundle_error","roles":"r2 "}`},
			step{"it is repaired", "authz", `"3"`, authzBundle("a3", "true"), `{"authz":"a3 ","roles":"r2 "}`},
		)},
		{"a missing bundle", twoBundles, append(two[:2:2],
			step{"it is gone", "roles", "", nil, `{"authz":"a1 ","roles":"r1 bundle_error404"}`},
			step{"the other still changes", "authz", `"2"`, authzBundle("a2", "input.user == \"bob\""), `{"authz":"a2 ","roles":"r1 bundle_error404"}`},
			step{"it is back", "roles", `"2"`, rolesBundle("r2", "bob"), `{"authz":"a2 ","roles":"r2 "}`},
		)},
		{"roots that overlap", twoBundles, append(two[:2:2],
			step{"one claims the other's", "roles", `"2"`, of(opabundles.Manifest("r2", "http/authz"), [2]string{"http/authz/data.json", `{"x": 1}`}), `{"authz":"a1 ","roles":"r1 bundle_error"}`},
			step{"the other changes meanwhile", "authz", `"2"`, authzBundle("a2", "true"), `{"authz":"a2 ","roles":"r1 bundle_error"}`},
			step{"it no longer does", "roles", `"3"`, rolesBundle("r3", "carol"), `{"authz":"a2 ","roles":"r3 "}`},
		)},
		{"files outside of the roots", twoBundles, append(two[:2:2],
			step{"a module", "roles", `"2"`, of(opabundles.Manifest("r2", "roles"), [2]string{"x.rego", "package elsewhere\n\nx := 1"}), `{"authz":"a1 ","roles":"r1 bundle_error"}`},
		)},
		{"data only", polled + "bundles: {roles: {" + fastly + "}}", []step{
			{"data alone", "roles", `"1"`, rolesBundle("r1", "alice"), `{"roles":"r1 "}`},
			{"other data", "roles", `"2"`, rolesBundle("r2", "bob"), `{"roles":"r2 "}`},
		}},
		{"no manifest", polled + "bundles: {authz: {" + fastly + "}}", []step{
			{"with one", "authz", `"0"`, authzBundle("a1", "true"), `{"authz":"a1 "}`},
			{"policy and data", "authz", `"1"`, of([2]string{"p/a.rego", "package http.authz\n\nallow := data.roles.admin"}, [2]string{"roles/data.yaml", "admin: alice"}), `{"authz":" "}`},
		}},
		{"signed", polled + `
keys: {ours: {algorithm: HS256, key: a secret that is long enough for this}}
bundles: {authz: {signing: {keyid: ours, scope: authz}, ` + fastly + `}}`, []step{
			{"as it has to be", "authz", `"1"`, ofSigned("authz", opabundles.Manifest("a1", "http"), [2]string{"a.rego", "package http.authz\n\nallow := 1"}), `{"authz":"a1 "}`},
			{"not at all", "authz", `"2"`, authzBundle("a2", "true"), `{"authz":"a1 bundle_error"}`},
			{"for another scope", "authz", `"3"`, ofSigned("other", opabundles.Manifest("a3", "http"), [2]string{"a.rego", "package http.authz\n\nallow := 3"}), `{"authz":"a1 bundle_error"}`},
			{"again as it has to be", "authz", `"4"`, ofSigned("authz", opabundles.Manifest("a4", "http"), [2]string{"a.rego", "package http.authz\n\nallow := 4"}), `{"authz":"a4 "}`},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			web := newBundleServer(t)
			mine, theirs := bothOf(t, web, row.config)
			for _, s := range row.steps {
				var archive []byte
				if s.archive != nil {
					archive = s.archive(t)
				}
				web.put(s.bundle, s.etag, archive)
				if s.want != "" {
					agree(t, s.name, s.want, mine, theirs, questions)
				}
			}
		})
	}
}

func TestWhatHasNotChangedIsSentOnceToBoth(t *testing.T) {
	web := newBundleServer(t)
	web.put("authz", `"1"`, authzBundle("a1", "true")(t))
	mine, theirs := bothOf(t, web, polled+"bundles: {authz: {"+fastly+"}}")
	agree(t, "the first", `{"authz":"a1 "}`, mine, theirs, nil)
	for _, who := range []string{"ours", "theirs"} {
		eventually(t, who+" asks again and again", func() bool { return web.count(web.asked, who, "authz") > 5 })
		if n := web.count(web.sent, who, "authz"); n != 1 {
			t.Errorf("%s was sent it %d times", who, n)
		}
	}
}

// TestBothWaitForNewsWhereTheServerCan has pauses so long that only a request that waits brings the news in time.
func TestBothWaitForNewsWhereTheServerCan(t *testing.T) {
	web := newBundleServer(t)
	web.longPoll = true
	web.put("authz", `"1"`, authzBundle("a1", "true")(t))
	mine, theirs := bothOf(t, web, polled+"bundles: {authz: {polling: {min_delay_seconds: 600, max_delay_seconds: 1200, long_polling_timeout_seconds: 60}}}")
	agree(t, "the first", `{"authz":"a1 "}`, mine, theirs, nil)
	web.put("authz", `"2"`, authzBundle("a2", "false")(t))
	agree(t, "the second", `{"authz":"a2 "}`, mine, theirs, []string{`/v1/data/http/authz/allow`})
}

// TestNothingServesBeforeEachBundleIsThere is the one difference: OPA answers with what it has.
func TestNothingServesBeforeEachBundleIsThere(t *testing.T) {
	web := newBundleServer(t)
	web.put("authz", `"1"`, authzBundle("a1", "true")(t))
	mine, theirs := bothOf(t, web, polled+"bundles: {authz: {"+fastly+"}, roles: {"+fastly+"}}")
	const question = "/v1/data/http/authz/allow"
	eventually(t, "opa serves the one that is there", func() bool { return theirs.ask(t, question, "{}") == "200 true" })
	if a := mine.ask(t, question, "{}"); a != "503 null" {
		t.Error(a)
	}
	for _, o := range []one{mine, theirs} {
		if a := o.ask(t, "/health?bundles", ""); a != "500 null" {
			t.Error(a)
		}
	}
	web.put("roles", `"1"`, rolesBundle("r1", "alice")(t))
	agree(t, "both are there", `{"authz":"a1 ","roles":"r1 "}`, mine, theirs, []string{question, "/health?bundles"})
}

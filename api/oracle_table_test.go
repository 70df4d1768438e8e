package api_test

import (
	"bytes"
	"compress/gzip"
	"net/url"
	"strings"
)

var oraclePaths = []string{
	"", "/", "/users", "/users/alice", "/users/alice/roles", "/users/alice/roles/0", "/users/alice/roles/7", "/users/alice/roles/00",
	"/users/alice/roles/-1", "/users/nobody", "/users/nobody/at/all", "/users/alice/age/deeper", "/users/bob", "/users/", "/users/alice/",
	"/odd", "/odd/a%2Fb", "/odd/a%2fb", "/odd/a/b", "/odd/a%20b", "/odd/a+b", "/odd/%C3%BC", "/odd/ü", "/odd/0", "/odd/a.b", "/odd/%25", "/odd/+", "/odd/%2B",
	"/odd/%22", "/odd/a%22b", "/odd/%00", "/odd/%FF", "/odd/%5C", "/odd/%0A", "/odd/%2525", "/odd//0", "//odd", "/./odd", "/odd/../users", "/odd/%2E%2E",
	"/list", "/list/1/1/k", "/list/0/1", "/list/1/1/x", "/n", "/f", "/t", "/big", "/html", "/long",
	"/authz", "/authz/allow", "/authz/roles", "/authz/roles/admin", "/authz/roles/0", "/authz/by_name", "/authz/by_name/bob", "/authz/by_name/eve",
	"/authz/nested", "/authz/nested/deep", "/authz/nested/deep/value", "/authz/nested/p/y", "/authz/nested/z", "/authz/note", "/authz/allow/deeper", "/authz/missing",
	"/conflict/a", "/conflict/b", "/conflict/g", "/conflict/f", "/conflict", "/system/main", "/labels", "/labels/x", "/labels/y",
	"/kinds/s", "/kinds/s/1", "/kinds/s/5", "/kinds/o", "/kinds/o/1", "/kinds/o/two/1", "/kinds/undefined_rule", "/kinds/says", "/kinds/number", "/kinds/nan",
	"/kinds/calls", "/kinds/everyone", "/kinds/null_rule", "/kinds/false_rule", "/kinds/strict", "/kinds/partial_set", "/kinds/object_of_sets", "/kinds/fn", "/kinds/printed",
	"/dashed", "/dashed/foo-bar", "/dashed/foo-bar/baz/v", "/dashed/foo%2Dbar/baz", "/import", "/if", "/input", "/data", "/no_such",
}

var oracleInputs = []string{
	``, `{}`, `{"input":{}}`, `{"input":null}`, `{"input":{"user":"alice"}}`,
	`{"input":{"user":"alice","method":"GET","role":"dev","xs":[1,1,2],"m":{"a":[1]},"vs":[1,2],"one":1,"two":2,"text":"7","on":true,"who":"me"}}`,
}

var oracleBodies = []string{
	`{`, `[]`, `"x"`, `null`, `7`, `{"input"`, `{"input":}`, `{"input":1} trailing`, `{"input":1}{"input":2}`, `{"input":1,"input":2}`, `{"Input":{"user":"alice"}}`,
	`{"other":1}`, `{"input":{"user":"alice"},"other":{"a":1}}`, `{"input":[1,2]}`, `{"input":"text"}`, `{"input":12345678901234567890}`, `{"input":1e400}`, `{"input":-0.0}`,
	`{"input":{"who":"\ud800"}}`, `{"input":"ü\u0000<"}`, "\xef\xbb\xbf{}", "\x00", `{"input":{"a":1,}}`, ` `, "\n", `{"input":{"who":1.0}}`, `{'input':1}`, `input: 1`,
}

var oracleParameters = []string{
	"pretty", "pretty=true", "pretty=TRUE", "pretty=false", "pretty=1", "pretty=false&pretty=true", "metrics", "metrics=true&pretty", "instrument", "instrument=true&metrics=true",
	"provenance", "provenance=true&pretty=true", "explain=notes", "explain=fails", "explain=full", "explain=debug", "explain=full&pretty", "explain=notes&pretty=true",
	"explain=off", "explain=other", "explain", "explain=other&explain=fails", "rule_labels", "strict-builtin-errors=true", "unknown=1", "a;b", "%zz", "explain=full&metrics&provenance",
}

var oracleQueries = []string{
	`x := 1`, `x = 1; y = x + 1`, `data.users[name].age > 1`, `data.users[name].roles[_]`, `some name; data.users[name]`, `input.a`, `input.a == 1`, `data.authz.allow`,
	`data.authz.allow with input as {"user":"alice"}`, `data.conflict.a`, `data.no_such`, `false`, `true`, `x`, `x >`, ``, ` `, `x := `, `1 +`, `no_such(1)`, `http.send({"method":"get","url":"http://127.0.0.1:1"})`,
	`x := data.authz.note("a")`, `[1,2,3][i] > 1`, `{"a": x} = {"a": 2}`, `x := {1,2}`, `import rego.v1`, `package p`, `x := input`, `x := 1; x := 2`, `count(1)`, `concat(1, 2)`,
	`every u in data.users { u.age > 0 }`, "x := 1\ny := 2", `x := {"<": ">"}`, `_ = 1`, `x := "` + "\u00fc" + `"`, `print(1)`, `data`, `input`, `x := data.kinds.fn(4)`, `walk(data.list, [p, v])`, `a.b.c`,
}

var oracleCompiles = []string{
	`{}`, `{"query":""}`, `{"query":"x >"}`, `{`, `[]`, ``, `{"query":1}`, `{"query":"no_such(1)"}`, `{"query":"x"}`,
	`{"query":"data.authz.allow == true"}`, `{"query":"data.authz.allow == true","input":{"user":"alice"}}`, `{"query":"data.authz.allow == true","unknowns":["input.role"],"input":{"user":"alice"}}`,
	`{"query":"data.authz.allow == true","unknowns":["data.users"],"input":{"user":"alice","method":"GET"}}`, `{"query":"data.authz.allow == true","unknowns":["x y"]}`, `{"query":"data.authz.allow == true","unknowns":[]}`,
	`{"query":"data.authz.roles[x]"}`, `{"query":"data.authz.roles[x]","options":{"disableInlining":["data.authz.roles"]}}`, `{"query":"input.x == 1; input.y > 2"}`, `{"query":"data.conflict.a == 1"}`,
	`{"query":"data.authz.allow","unknowns":"input"}`, `{"query":"rand.intn(\"x\", 1) > input.t","options":{"nondeterministicBuiltins":true}}`, `{"query":"data.kinds.partial_set[x]"}`, `{"query":"true"}`, `{"query":"false"}`,
	`{"query":"http.send({}) = x"}`, `{"query":"data.authz.by_name[n] > input.age"}`, `{"query":"x := 1; x := 2"}`,
}

// questions is every request that both servers are asked.
func questions() (all []question) {
	add := func(method, target, body string, headers ...string) {
		all = append(all, question{method, target, body, headers})
	}
	for _, path := range oraclePaths {
		if path == "//odd" || path == "/./odd" {
			add("GET", "/v1/data"+path, "")
			continue
		}
		for i, input := range oracleInputs {
			if i == 0 || i == len(oracleInputs)-1 || strings.HasPrefix(path, "/authz") {
				add("POST", "/v1/data"+path, input)
			}
		}
		add("GET", "/v1/data"+path, "")
		add("GET", "/v1/data"+path+"?input="+url.QueryEscape(`{"user":"bob","vs":[1,2],"text":"1"}`), "")
		add("POST", "/v0/data"+path, `{"user":"alice","vs":[1],"who":2}`)
		add("POST", "/v1/data"+path+"?strict-builtin-errors=true", `{"input":{"text":"x","vs":[1]}}`)
	}
	for _, body := range oracleBodies {
		for _, target := range []string{"/v1/data/kinds/says", "/v0/data/kinds/says", "/", "/v1/query", "/v1/compile"} {
			add("POST", target, body)
		}
		add("POST", "/v1/data/kinds/says", body, "Content-Type: application/x-yaml")
		add("POST", "/v0/data/kinds/says", body, "Content-Type: text/yaml")
		add("GET", "/v1/data/kinds/says?input="+url.QueryEscape(body), "")
		add("POST", "/v1/data/kinds/says", gzipped(body), "Content-Encoding: gzip")
		add("POST", "/v0/data/kinds/says", gzipped(body), "Content-Encoding: gzip")
	}
	for _, parameters := range oracleParameters {
		for _, path := range []string{"/v1/data/authz/allow", "/v1/data/authz", "/v1/data/no_such", "/v1/data/conflict/a", "/v1/data/labels", "/v0/data/authz/allow", "/v1/query", "/v1/compile"} {
			body := `{"query":"data.authz.allow == x","input":{"user":"alice","method":"GET","role":"dev","on":true}}`
			add("POST", path+"?"+parameters, body)
		}
		add("GET", "/v1/data/authz/allow?"+parameters+"&input=%7B%22user%22:%22bob%22%7D", "")
		add("GET", "/v1/query?"+parameters+"&q=data.users%5Bx%5D", "")
		add("GET", "/v1/policies/conflict.rego?"+parameters, "")
		add("GET", "/v1/data/authz/allow/?"+parameters, "")
	}
	for _, query := range oracleQueries {
		add("GET", "/v1/query?q="+url.QueryEscape(query), "")
		add("POST", "/v1/query", `{"query":`+quoted(query)+`,"input":{"a":1}}`)
	}
	for _, body := range oracleCompiles {
		add("POST", "/v1/compile", body)
		add("POST", "/v1/compile?explain=full&metrics", body)
	}
	filterQuestions(add)
	for _, target := range []string{"/v1/query", "/v1/query?q=", "/v1/query?q=1&q=2", "/v1/policies", "/v1/policies?pretty", "/v1/status", "/v1/policies/", "/v1/policies/none.rego", "/v1/policies/a/authz.rego",
		"/v1/policies/a%2Fauthz.rego", "/v1/policies/a", "/v1/policies/conflict.rego/", "/v1/data?input=", "/v1/data?input=1&input=2", "/health", "/health?bundles", "/health?bundle=true&plugins", "/health?plugins&exclude-plugin=x"} {
		add("GET", target, "")
	}
	for _, target := range []string{"/v1/data", "/v1/data/users", "/v0/data", "/v0/data/users", "/v1/query", "/v1/policies", "/v1/policies/conflict.rego"} {
		add("HEAD", target, "")
		add("OPTIONS", target, "")
	}
	add("GET", "/v0/data/users", "")
	add("POST", "/v1/policies", "")
	for _, accept := range []string{"gzip", "gzip, deflate, br", "deflate", "*", "identity", "gzip;q=0"} {
		for _, target := range []string{"/v1/data", "/v1/data/users", "/v1/data?pretty&explain=full", "/v0/data/users", "/v1/compile", "/v1/query"} {
			add("POST", target, `{"query":"data.users[x]"}`, "Accept-Encoding: "+accept)
		}
		add("GET", "/v1/policies", "", "Accept-Encoding: "+accept)
	}
	return all
}

var filterTargets = []string{
	"application/vnd.opa.multitarget+json", "application/vnd.opa.ucast.all+json", "application/vnd.opa.ucast.minimal+json", "application/vnd.opa.ucast.prisma+json", "application/vnd.opa.ucast.linq+json",
	"application/vnd.opa.sql.postgresql+json", "application/vnd.opa.sql.mysql+json", "application/vnd.opa.sql.sqlserver+json", "application/vnd.opa.sql.sqlite+json", "application/json",
}

var filterBodies = []string{
	``, `{}`, `{`, `{"input":{"user":"alice","least":2}}`, `{"input":{"user":"bob","least":2}}`, `{"input":null,"unknowns":[]}`, `{"input":{"user":"alice"},"unknowns":["input.fruits","input.people"]}`,
	`{"unknowns":["data.users"],"input":{"user":"alice","least":1,"fruits":{"price":2}}}`, `{"unknowns":["input"]}`, `{"unknowns":["fruits"]}`, `{"unknowns":["input.fruits[0]"]}`, `{"unknowns":["x y"]}`, `{"unknowns":["input.baskets"],"later":true}`,
	`{"input":{"user":"alice"},"options":{"maskRule":"masks"}}`, `{"input":{"user":"bob"},"options":{"maskRule":"data.filters.masks"}}`, `{"options":{"maskRule":"none"}}`, `{"options":{"disableInlining":["data.filters.include"]}}`,
	`{"input":{"user":"bob"},"options":{"targetSQLTableMappings":{"fruits":{"$self":"f","name":"n"}}}}`, `{"options":{"targetSQLTableMappings":{"sql":{"fruits":{"$self":"f"}}}}}`, `{"options":{"targetSQLTableMappings":{"fruits":7}}}`,
	`{"input":{"user":"alice","least":3},"options":{"targetDialects":["sql+postgresql","ucast+prisma","sql+sqlite","ucast+all"]}}`, `{"options":{"targetDialects":["sql+none"]}}`,
}

// filterQuestions ask for filters.
func filterQuestions(add func(method, target, body string, headers ...string)) {
	for _, rule := range []string{"include", "everything", "joined", "odd", "misspelt", "other", "masks", "none", "below/include", "0", "include/x"} {
		for _, accept := range filterTargets {
			for _, body := range []string{`{"input":{"user":"alice","least":2,"name":"x"}}`, `{"input":{"user":"bob"},"unknowns":["input.fruits","input.people"],"options":{"targetDialects":["sql+mysql","ucast+all"]}}`} {
				add("POST", "/v1/compile/filters/"+rule, body, "Accept: "+accept)
			}
		}
	}
	for _, body := range filterBodies {
		for _, accept := range filterTargets[:6] {
			add("POST", "/v1/compile/filters/include", body, "Accept: "+accept)
		}
	}
	for _, accept := range []string{"", "*/*", "application/json, text/plain", "application/vnd.opa.sql.none+json"} {
		add("POST", "/v1/compile/filters/include", "{}", "Accept: "+accept)
	}
	for _, target := range []string{"/v1/compile/", "/v1/compile/filters/include/", "/v1/compile/filters/%22", "/v1/compile/filters/%25zz", "/v1/compile/filters//include", "/v1/compile/users", "/v1/compile/filters/include?pretty&metrics", "/v1/compile/filters/include?explain=full&instrument"} {
		add("POST", target, `{"unknowns":["input.fruits"],"options":{"maskRule":"masks"}}`, "Accept: "+filterTargets[1])
		add("GET", target, "", "Accept: "+filterTargets[5])
	}
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text)) // a buffer takes everything
	_ = w.Close()
	return b.String()
}

func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text) + `"`
}

package attack_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
)

// bodyRoutes are the routes that read a body, each with what it wants around an input. %s is the attack.
var bodyRoutes = []struct{ path, body string }{
	{"/v1/data/attack/same", `{"input": {"a": %s, "b": %s}}`},
	{"/v0/data/attack/same", `{"a": %s, "b": %s}`},
	{"/v1/batch/data/attack/same", `{"inputs": {"x": {"a": %s, "b": %s}, "y": {"a": 1, "b": 1}}}`},
	{"/v1/query", `{"query": "input.a == input.b", "input": {"a": %s, "b": %s}}`},
	{"/v1/compile", `{"query": "input.a == input.c", "input": {"a": %s, "b": %s}, "unknowns": ["input.c"]}`},
	{"/v1/compile/attack/same", `{"input": {"a": %s, "b": %s}, "unknowns": ["input.c"]}`},
	{"/access/v1/evaluation", `{"subject": {"type": "a", "id": "b"}, "action": {"name": "c"}, "resource": {"type": "a", "id": "b"}, "context": {"a": %s, "b": %s}}`},
	{"/access/v1/evaluations", `{"subject": {"type": "a", "id": "b"}, "action": {"name": "c"}, "resource": {"type": "a", "id": "b"}, "evaluations": [{"context": {"a": %s, "b": %s}}]}`},
	{"/policy/evaluate", `{"domain": "admission", "input": {"target_type": "skill", "target_name": "x", "path": "p", "scan_result": {"a": %s, "b": %s}}}`},
	{"/policy/evaluate/firewall", `{"target_type": "skill", "destination": "x", "port": %s, "protocol": %s}`},
	{"/policy/evaluate/sandbox", `{"skill_name": "x", "requested_endpoints": %s, "requested_permissions": %s}`},
	{"/policy/evaluate/audit", `{"event_type": "x", "age_days": %s, "export_targets": %s}`},
	{"/policy/evaluate/skill-actions", `{"severity": %s, "target_type": %s}`},
	{"/v1/guardrail/evaluate", `{"evaluation_id": "x", "direction": "prompt", "mode": "action", "local_result": %s, "cisco_result": %s}`},
	{"/v1/guardrail/judge", `{"direction": %s, "kind": "injection", "content": %s}`},
	{"/policy/lists/block", `{"target_type": %s, "target_name": %s}`},
	{"/policy/lists/import", `{"source": "x", "entries": [%s], "left_out": [%s]}`},
	{"/enforce/block", `{"target_type": %s, "target_name": %s}`},
}

// bodies are bodies that are deep, long, huge once unpacked, or not what they say they are.
func bodies(r *rand.Rand) []try {
	var all []try
	for _, value := range []namedText{
		named("deep arrays", strings.Repeat("[", 250000)+strings.Repeat("]", 250000)),
		named("deep objects", strings.Repeat(`{"a":`, 80000)+"1"+strings.Repeat("}", 80000)),
		named("deep arrays without end", strings.Repeat("[", 500000)),
		named("a number of 500,000 digits", strings.Repeat("9", 500000)),
		named("a fraction of 400,000 digits", "0."+strings.Repeat("1", 400000)),
		named("a number with a huge exponent", "1e1000000000"),
		named("a number with a huge negative exponent", "1e-1000000000"),
		named("an exponent of many digits", "1e"+strings.Repeat("9", 100000)),
		named("many numbers with exponents", "["+strings.Repeat("1e400,", 60000)+"1]"),
		named("one key many times", "{"+strings.Repeat(`"a":1,`, 80000)+`"a":2}`),
		named("many keys", "{"+manyKeys(30000)+"}"),
		named("a text of NULs", `"`+strings.Repeat(`\u0000`, 80000)+`"`),
		named("half surrogates", `"`+strings.Repeat(`\ud800`, 80000)+`"`),
		named("bytes that are no UTF-8", "\""+strings.Repeat("\xff\xfe", 200000)+"\""),
		named("nothing", ""),
		named("a literal that ends early", "tru"),
		named("NaN", "NaN"),
		named("a comment", "/* */ 1"),
		named("two values", "1 2"),
		named("many empty arrays", "["+strings.Repeat("[],", 160000)+"[]]"),
	} {
		for _, route := range bodyRoutes {
			body := fmt.Sprintf(route.body, value.text, value.text)
			all = append(all, try{value.name + " to " + route.path, func(v *victim) error {
				return v.endsInTime(http.MethodPost, route.path, body)
			}})
		}
	}
	all = append(all, yamlBodies()...)
	all = append(all, packedBodies()...)
	all = append(all, batches()...)
	return append(all, randomBodies(r, 400)...)
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"k%d":%d,`, i, i)
	}
	return b.String() + `"z":0`
}

func yamlBodies() (all []try) {
	for _, body := range []namedText{
		named("aliases of a long text", "s: &a "+strings.Repeat("x", 200000)+"\nl: ["+strings.Repeat("*a, ", 20000)+"*a]"),
		named("aliases of aliases", "a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d]"),
		named("an alias of itself", "a: &a [*a]"),
		named("a merge of itself", "a: &a\n  <<: *a"),
		named("deep flow sequences", strings.Repeat("[", 100000)),
		named("deep block sequences", strings.Repeat("- ", 100000)+"1"),
		named("deep mappings", strings.Repeat("{a: ", 100000)),
		named("many keys", strings.ReplaceAll(manyKeys(40000), ",", "\n")),
		named("many documents", strings.Repeat("--- 1\n", 100000)),
		named("a tag of a type", "a: !!python/object/apply:os.system [id]"),
		named("binary", "a: !!binary "+strings.Repeat("QUFB", 100000)),
		named("keys that are lists", "? [a, b]\n: 1"),
	} {
		for _, path := range []string{"/v1/data/attack/same", "/v0/data/attack/same", "/v1/query", "/v1/compile"} {
			all = append(all, try{"YAML: " + body.name + " to " + path, func(v *victim) error {
				return v.endsInTime(http.MethodPost, path, "input:\n  "+strings.ReplaceAll(body.text, "\n", "\n  "), "Content-Type", "application/yaml")
			}})
		}
	}
	return all
}

// packedBodies are small on the wire and huge once unpacked, or end before they should.
func packedBodies() (all []try) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = io.WriteString(z, `{"input": "`)
	for range 1024 {
		_, _ = z.Write(bytes.Repeat([]byte("a"), 1<<20))
	}
	_, _ = io.WriteString(z, `"}`)
	_ = z.Close()
	for _, route := range bodyRoutes {
		all = append(all,
			try{"a gigabyte in gzip to " + route.path, func(v *victim) error {
				return v.endsInTime(http.MethodPost, route.path, bomb.String(), "Content-Encoding", "gzip")
			}},
			try{"a gzip that ends early to " + route.path, func(v *victim) error {
				return v.endsInTime(http.MethodPost, route.path, bomb.String()[:1000], "Content-Encoding", "gzip")
			}},
			try{"an endless body to " + route.path, func(v *victim) error {
				// The program may hang up while it is still being sent the body: so no answer is no fault.
				_, _ = v.send(v.client, http.MethodPost, route.path, io.LimitReader(endless{}, 64<<20))
				return nil
			}})
	}
	return all
}

// endless never ends, and is never a JSON value.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '['
	}
	return len(p), nil
}

func batches() []try {
	inputs := func(n int, input string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = fmt.Sprintf(`"i%d":%s`, i, input)
		}
		return strings.Join(parts, ",")
	}
	evaluations := func(n int, one string) string {
		return strings.TrimSuffix(strings.Repeat(one+",", n), ",")
	}
	return []try{
		{"20,000 inputs", func(v *victim) error {
			return v.endsInTime(http.MethodPost, "/v1/batch/data/attack/ok", `{"inputs":{`+inputs(20000, `{"n":1}`)+`}}`)
		}},
		{"5,000 inputs that each take long", func(v *victim) error {
			return v.endsInTime(http.MethodPost, "/v1/batch/data/attack/numbers_up_to", `{"inputs":{`+inputs(5000, `{"n":100000}`)+`}}`)
		}},
		{"inputs whose answers fill the memory", func(v *victim) error {
			return v.endsInTime(http.MethodPost, "/v1/batch/data/attack/numbers_up_to", `{"inputs":{`+inputs(2000, `{"n":20000}`)+`}}`)
		}},
		{"20,000 inputs and one that is joined with each", func(v *victim) error {
			return v.endsInTime(http.MethodPost, "/v1/batch/data/attack/ok", `{"inputs":{`+inputs(20000, `{"n":1}`)+`},"common_input":{`+manyKeys(20000)+`}}`)
		}},
		{"15,000 evaluations", func(v *victim) error {
			return v.endsInTime(http.MethodPost, "/access/v1/evaluations", `{"subject":{"type":"a","id":"b"},"action":{"name":"c"},"evaluations":[`+
				evaluations(15000, `{"resource":{"type":"a","id":"b"}}`)+`]}`)
		}},
		{"an answer that fills the memory", func(v *victim) error {
			return v.endsInTime(http.MethodPost, "/v1/data/attack/numbers_up_to", `{"input":{"n":4000000}}`)
		}},
	}
}

// randomBodies change single bytes of bodies that would be answered.
func randomBodies(r *rand.Rand, n int) []try {
	var all []try
	for i := range n {
		route := bodyRoutes[r.IntN(len(bodyRoutes))]
		body := []byte(fmt.Sprintf(route.body, `{"x":[1,2.5,"a\u00e4"],"y":null}`, `"critical"`))
		for range 1 + r.IntN(6) {
			at := r.IntN(len(body))
			switch r.IntN(3) {
			case 0:
				body[at] = byte(r.IntN(256))
			case 1:
				body = append(body[:at:at], body[min(at+1+r.IntN(8), len(body)):]...)
			case 2:
				body = append(body[:at:at], append([]byte(`{"[}]0e9,:\`)[r.IntN(11):], body[at:]...)...)
			}
			if len(body) == 0 {
				body = []byte("{")
			}
		}
		all = append(all, try{fmt.Sprintf("random body %d to %s", i, route.path), func(v *victim) error {
			return v.endsInTime(http.MethodPost, route.path, string(body))
		}})
	}
	return all
}

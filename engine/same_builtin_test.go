package engine

import "strings"

// builtinTexts are calls of builtins and operators. $n is a number for the most part, $s a string, $c a collection, $o an
// object, $a an array, $t a set, $e anything: what has the wrong type fails or is undefined.
var builtinTexts = []string{
	"($n + $n)", "($n - $n)", "($n * $n)", "($n / $n)", "($n % $n)", "abs($n)", "ceil($n)", "floor($n)", "round($n)",
	"bits.and($n, $n)", "bits.or($n, 6)", "bits.xor($n, $n)", "bits.lsh($n, 2)", "bits.rsh($n, 1)", "bits.negate($n)",
	"numbers.range($n, 3)", "numbers.range_step(1, 9, $n)", "format_int($n, 16)", "to_number($e)", "to_number($s)",
	"count($c)", "count($s)", "sum($c)", "product($c)", "max($c)", "min($c)", "sort($c)",
	"concat($s, $c)", "split($s, $s)", "upper($s)", "lower($s)", "contains($s, $s)", "startswith($s, $s)", "endswith($s, $s)",
	"indexof($s, $s)", "indexof_n($s, $s)", "replace($s, $s, $s)", "substring($s, $n, $n)", "trim($s, $s)", "trim_left($s, $s)",
	"trim_right($s, $s)", "trim_prefix($s, $s)", "trim_suffix($s, $s)", "trim_space($s)", "strings.reverse($s)",
	"strings.replace_n($o, $s)", "strings.any_prefix_match($c, $c)", "strings.any_suffix_match($s, $c)", "strings.count($s, $s)",
	"strings.render_template($s, $o)", `sprintf("%v %d", [$e, $n])`, `sprintf("%s|%5.2f|%t", [$s, $n, $e])`, `sprintf($s, [$e])`, `sprintf("%v", [$c])`,
	"$\"v {$e}\"", "json.marshal($e)", "json.unmarshal($s)", "json.is_valid($s)", "json.marshal_with_options($e, {\"pretty\": true})",
	"yaml.marshal($e)", "yaml.unmarshal($s)", "base64.encode($s)", "base64.decode($s)", "base64url.encode_no_pad($s)", "hex.encode($s)", "hex.decode($s)",
	"urlquery.encode($s)", "urlquery.decode($s)", "urlquery.encode_object($o)",
	`regex.match("^[a-z]+$$", $s)`, "regex.match($s, $s)", `regex.split("[,.]", $s)`, `regex.replace($s, "[a-c]", "x")`, `regex.find_n("[0-9]", $s, $n)`,
	`regex.find_all_string_submatch_n("(a)(b)?", $s, -1)`, "regex.is_valid($s)",
	`glob.match("a*", ["/"], $s)`, "glob.match($s, null, $s)", "glob.quote_meta($s)",
	`net.cidr_contains("10.0.0.0/8", $s)`, "net.cidr_intersects($s, $s)", `net.cidr_contains_matches(["10.0.0.0/8"], $c)`, "net.cidr_is_valid($s)",
	`semver.compare("1.2.0", $s)`, "semver.is_valid($s)", "units.parse($s)", "units.parse_bytes($s)",
	"time.parse_rfc3339_ns($s)", "time.parse_duration_ns($s)", "time.clock($n)", "time.date($n)", "time.weekday($n)", "time.add_date($n, 0, 1, $n)",
	"time.format($n)", "(time.now_ns() == time.now_ns())", `(rand.intn("x", 1000) == rand.intn("x", 1000))`, `(uuid.rfc4122("k") == uuid.rfc4122("k"))`,
	"crypto.sha256($s)", "crypto.md5($s)", "crypto.hmac.sha256($s, $s)",
	"object.get($o, $e, $e)", "object.get($o, [$s, $s], $e)", "object.union($o, $o)", "object.union_n([$o, $o])", "object.remove($o, $c)",
	"object.filter($o, $c)", "object.keys($o)", "object.subset($o, $o)", "object.subset($a, $a)", "json.filter($o, [\"a/b\", $s])", "json.remove($o, [$s])",
	`json.patch($o, [{"op": "add", "path": "/a", "value": $e}])`, `json.patch($o, [{"op": "remove", "path": $s}])`, "json.match_schema($o, {\"type\": \"object\"})",
	"array.concat($a, $a)", "array.slice($a, $n, $n)", "array.reverse($a)", "array.flatten($a)",
	"($t & $t)", "($t | $t)", "($t - $t)", "intersection({$t, $t})", "union({$t, $t})", "($n - $t)", "($t - $n)",
	"is_string($e)", "is_number($e)", "is_array($e)", "is_object($e)", "is_set($e)", "is_null($e)", "is_boolean($e)", "type_name($e)",
	"graph.reachable($o, $c)", "graph.reachable_paths($o, $c)", "io.jwt.decode($s)", "rego.metadata.rule()",
	`io.jwt.decode_verify($s, {"secret": $s})`, "-$n", "any_missing[$e]",
	"($e in $c)", "($e, $e in $c)", "base64url.encode($s)", "time.parse_rfc3339_ns(\"2024-02-29T12:00:00.5+01:00\")", `json.unmarshal("{\"a\": [1.0, null, {}]}")`,
	`glob.match(data.d.s, ["/"], $s)`, "regex.match(data.d.s, $s)", "net.cidr_contains(data.d.s, $s)", `net.cidr_contains("10.0.0.0/8", "10.2.3.4")`, `semver.compare("v1.2.0", "1.10.3")`,
	"io.jwt.verify_hs256(" + signedToken + ", $s)", `io.jwt.verify_hs384("a.b.c", $s)`, `io.jwt.verify_hs512($s, $s)`, "io.jwt.decode(" + signedToken + ")",
	"io.jwt.decode_verify(" + signedToken + `, {"secret": "k"})`, "io.jwt.decode_verify(" + signedToken + `, {"secret": $s, "alg": $s})`,
}

// signedToken is signed with the secret k.
const signedToken = `"eyJhbGciOiJIUzI1NiJ9.eyJhIjpbMSx7ImIiOm51bGx9XX0.TjqxHPQTRc3UwYmyYBH0Q7qecBIJ6xQcVBSOvOdxGXo"`

func (d *drawer) builtin(depth int) string {
	text := builtinTexts[d.IntN(len(builtinTexts))]
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) || !strings.ContainsRune("nscoate$", rune(text[i+1])) {
			b.WriteByte(text[i])
			continue
		}
		i++
		b.WriteString(d.operand(text[i], depth))
	}
	return strings.ReplaceAll(b.String(), "any_missing", "data.missing")
}

// operand draws one of a kind, and one of any kind now and then.
func (d *drawer) operand(kind byte, depth int) string {
	if kind == '$' {
		return "$"
	}
	if kind == 'e' || d.oneIn(4) {
		return d.expr(depth - 1)
	}
	switch kind {
	case 'n':
		return d.one(d.number(), d.number(), "input.num", "data.d.big", "count(input)", "data.d.n[1]")
	case 's':
		return d.one(d.text(), d.text(), "input.s", "input.a", "data.d.s", "data.d.users.alice.role")
	case 'o':
		return d.one("input.obj", "input.n", "data.d.users", "data.d.n", "data.d.deep", "{}", "{"+d.text()+": "+d.expr(depth-1)+"}", `{"a": ["b"], "b": ["a", "c"]}`)
	case 'a':
		return d.one("input.list", "data.d.list", "[]", "["+d.expr(depth-1)+", "+d.scalar()+"]")
	case 't':
		return d.one("{1, 2}", "set()", "{"+d.expr(depth-1)+", "+d.scalar()+"}", "{x | some x in input.list}", "{x | some x in data.d.list}", "object.keys(input)")
	default:
		return d.collection(depth - 1)
	}
}

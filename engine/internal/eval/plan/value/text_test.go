package value_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"defenseclaw/engine/internal/eval/plan/value"
	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
	"pgregory.net/rapid"
)

// accepted are texts that are read by parts; refused are JSON and not JSON that package jsonast decides.
var (
	accepted = []string{
		`null`, ` true `, "\t\r\n false", `0`, `-0`, `1.50`, `-1e-2`, `1E+300`, `12345678901234567890`, `""`, `"a"`, `"\u00e9\n\"\\\/\ud83d\ude00"`,
		`"\ud800"`, `"é\u2028"`, `[]`, `{}`, `[ ]`, `{ }`, `[1,[2,[3]],{"a":[]}]`, `{"a":1,"a":{"b":2},"\u0061":[3]}`, `{"":{"":{}}}`,
		`{ "b" : [ 1 , 2 ] , "a" : { "c" : "d" } }`, `["\\", "\\\"", {"\"":1}]`, `{"z":1,"y":1.0,"x":1e0}`,
		`{"` + strings.Repeat("a", 200) + `":"` + strings.Repeat("b", 2000) + `"}`, `[` + strings.Repeat(`{"k":[1]},`, 1000) + `0]`,
		strings.Repeat("[", 10000) + strings.Repeat("]", 10000), strings.Repeat("9", 299), `{"a":"\ufffd<>&\u0000"}`, manyKeys(15), manyKeys(17), manyKeys(300),
	}
	refused = []string{
		``, ` `, `{`, `[`, `"`, `"\`, `"\u00`, `"\u00zz"`, `"\x"`, "\"\n\"", "\"\xff\"", "\"\xed\xa0\x80\"", `tru`, `nul`, `falsE`, `True`, `01`, `1.`, `.1`, `-`, `+1`, `1e`,
		`1e+`, `0x1`, `NaN`, `Infinity`, `[1,]`, `[,1]`, `[1 2]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`, `{1:2}`, `{"a":1 "b":2}`, `[1}`, `{"a":1]`, `1 2`, `{} x`,
		"\ufeff{}", "{}\x00", "\x00", `1e400`, `-1e400`, `1e10001`, `1e99999999999`, strings.Repeat("9", 10001), `[1e-99999]`,
		strings.Repeat("[", 10001) + strings.Repeat("]", 10001), `/**/1`, `'a'`, "[1]\f", "{\"a\":1}}",
	}
)

// manyKeys is an object with a key twice, which is an edge of how objects are read.
func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`"k` + strconv.Itoa(i) + `":[` + strconv.Itoa(i) + `],`)
	}
	return `{` + b.String() + `"k3":"last"}`
}

// fataler is a test, or a property that is checked in one.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkText holds the reader and the writer against package jsonast, and reports whether the scan let the text pass.
func checkText(t fataler, text string) bool {
	t.Helper()
	scanned, ok := value.Scan(text)
	want, err := jsonast.Value([]byte(text))
	if !ok {
		return false
	}
	if err != nil {
		t.Fatalf("%.200q was read, though it is none: %v", text, err)
	}
	wantText, err := jsonast.Append(nil, want, math.MaxInt)
	if err != nil {
		t.Fatalf("%.200q: %v", text, err)
	}
	var a value.Arena
	a.Reset(1 << 40)
	unread, written, opened := a.FromText(scanned), a.FromText(scanned), a.FromText(scanned)
	sameTerm(t, text, unread.Term(), want)
	if got, err := written.AppendJSON([]byte("x"), math.MaxInt); err != nil || string(got) != "x"+string(wantText) {
		t.Fatalf("%.200q was written %.200s, not %.200s: %v", text, got, wantText, err)
	}
	if other := a.FromAST(ast.NewTerm(want)); !value.Equal(opened, other) || value.Compare(other, opened) != 0 {
		t.Fatalf("%.200q is not equal to OPA's value", text)
	}
	sameTerm(t, text, opened.Term(), want)
	sameTerm(t, text, written.Term(), want)
	if a.Err() != nil {
		t.Fatalf("%.200q left %v in the arena", text, a.Err())
	}
	if isNull := want.Compare(ast.Null{}) == 0; scanned.IsNull() != isNull {
		t.Fatalf("%.200q is null: %v", text, scanned.IsNull())
	}
	return true
}

func sameTerm(t fataler, text string, got *ast.Term, want ast.Value) {
	t.Helper()
	if got.Value.Compare(want) != 0 || got.Value.Hash() != want.Hash() || got.String() != want.String() {
		t.Fatalf("%.200q became %.200v, not %.200v", text, got, want)
	}
}

func TestATextIsReadAsPackageJSONASTReadsIt(t *testing.T) {
	for _, text := range accepted {
		if !checkText(t, text) {
			t.Errorf("%.200q was left to package jsonast", text)
		}
	}
	for _, text := range refused {
		if checkText(t, text) {
			t.Errorf("%.200q was read", text)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, text := range append(accepted, refused...) {
		if len(text) < 4096 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if checkText(t, text) {
			return
		}
		// What the scan leaves to package jsonast is rare: text that is not JSON or not UTF-8, and numbers of odd sizes.
		v, err := jsonast.Value([]byte(text))
		if err == nil && !odd(text) {
			t.Fatalf("%q was not read, though it is %v", text, v)
		}
	})
}

// odd reports whether a text may have what the scan leaves to package jsonast.
func odd(text string) bool {
	return strings.ToValidUTF8(text, "") != text || strings.ContainsAny(text, "eE") || len(text) > 200
}

// TestValuesAreWrittenAsPackageJSONASTWritesThem is about sets, and keys that are no strings, which no text has.
func TestValuesAreWrittenAsPackageJSONASTWritesThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := terms().Draw(t, "x")
		var a value.Arena
		a.Reset(1 << 40)
		for _, n := range nodes(t, &a, x) {
			limit := rapid.SampledFrom([]int{math.MaxInt, 0, 1, 10, 100, 1000}).Draw(t, "limit")
			want, wantErr := jsonast.Append([]byte("ab"), n.Term().Value, limit)
			got, err := n.AppendJSON([]byte("ab"), limit)
			if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
				t.Fatalf("%v within %d is written %s, %v; want %s, %v", x, limit, got, err, want, wantErr)
			}
		}
	})
}

// TestNestedTextsAreReadAndWritten draws texts with spaces, repeated keys, escapes and numbers of all spellings.
func TestNestedTextsAreReadAndWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		if text := randomText(random, 4); !checkText(t, text) {
			t.Fatalf("%s was left to package jsonast", text)
		}
	})
}

func randomText(random *rand.Rand, depth int) string {
	pick := func(all ...string) string { return all[random.IntN(len(all))] }
	space := func() string { return pick("", "", "", " ", "\n\t", "  ") }
	kind := random.IntN(6)
	if depth == 0 {
		kind = random.IntN(4)
	}
	str := func() string {
		return pick(`"a"`, `"b"`, `"\u0061"`, `""`, `"é"`, `"x\ny"`, `"<\""`, `"a much longer text, which no table keeps"`)
	}
	switch kind {
	case 0:
		return pick("null", "true", "false")
	case 1:
		return pick("0", "1", "-1", "1.0", "1e0", "0.10", "-0", "1023", "1024", "9007199254740993", "123456789012345678901", "1E5", "2.5e-3")
	case 2, 3:
		return str()
	}
	var b strings.Builder
	brackets := pick("[]", "{}")
	b.WriteString(brackets[:1] + space())
	for i := range random.IntN(pick2(random, 5, 25)) {
		if i > 0 {
			b.WriteString("," + space())
		}
		if brackets == "{}" {
			key := str()
			if random.IntN(2) > 0 {
				key = `"` + strconv.Itoa(random.IntN(40)) + `"`
			}
			b.WriteString(key + space() + ":" + space())
		}
		b.WriteString(randomText(random, depth-1) + space())
	}
	return b.String() + brackets[1:]
}

func pick2(random *rand.Rand, a, b int) int {
	if random.IntN(4) > 0 {
		return a
	}
	return b
}

// TestOneTextServesSeveralArenas is what the decisions of a batch do with their common input.
func TestOneTextServesSeveralArenas(t *testing.T) {
	text := manyKeys(40)
	scanned, ok := value.Scan(text)
	if !ok {
		t.Fatal("the text was left to package jsonast")
	}
	done := make(chan string)
	for range 4 {
		go func() {
			var a value.Arena
			a.Reset(1 << 20)
			got, err := a.FromText(scanned).AppendJSON(nil, math.MaxInt)
			if err != nil {
				got = []byte(err.Error())
			}
			done <- string(got)
		}()
	}
	want, err := jsonast.Value([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	wantText, err := jsonast.Append(nil, want, math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if got := <-done; got != string(wantText) {
			t.Errorf("written %s", got)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	text := `{"kind":"Pod","metadata":{"name":"web-7d4b9","labels":{"app":"web","tier":"front"}},"spec":{"containers":[` +
		strings.Repeat(`{"name":"c","image":"registry.example.com/team/app:1.2.3","resources":{"limits":{"cpu":"500m","memory":"128Mi"}},"ports":[{"containerPort":8080}]},`, 30) + `null]}}`
	b.Run("Scan", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			value.Scan(text)
		}
	})
	b.Run("ScanAndOpenAll", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		var a value.Arena
		to := []byte(nil)
		for b.Loop() {
			scanned, _ := value.Scan(text)
			to, _ = a.FromText(scanned).AppendJSON(to[:0], math.MaxInt)
			a.Reset(1 << 30)
		}
	})
	b.Run("jsonast.Value", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			_, _ = jsonast.Value([]byte(text))
		}
	})
}

package jsonast_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// byOPA reads text as OPA reads a data file.
func byOPA(text []byte) (ast.Value, error) {
	decoder := util.NewJSONDecoder(bytes.NewReader(text))
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("more text: %w", err)
	}
	return ast.InterfaceToValue(v)
}

// sameAsOPA fails the test unless doc is what OPA makes of text.
func sameAsOPA(t testing.TB, text []byte, doc *jsonast.Document, err error) {
	t.Helper()
	if err != nil && jsonast.CheckNumbers(text) != nil {
		return // a number with more digits than OPA has a limit for
	}
	want, wantErr := byOPA(text)
	if (err != nil) != (wantErr != nil) {
		t.Fatalf("%q: error %v, OPA's %v", text, err, wantErr)
	}
	if err != nil {
		return
	}
	got := doc.Value()
	if !ast.ValueEqual(got, want) || got.Hash() != want.Hash() || got.String() != want.String() {
		t.Fatalf("%q became %v (hash %d), OPA's is %v (hash %d)", text, got, got.Hash(), want, want.Hash())
	}
}

var texts = []string{
	``, ` `, `{}`, `[]`, ` { } `, "\t[\r\n]", `{`, `[`, `}`, `]`, `{]`, `[}`, `{}{}`, `{},`, `[1,]`, `[,1]`, `[1 2]`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{1:2}`, `{a:1}`,
	`null`, `true`, `false`, `nul`, `nulll`, `True`, `truefalse`, `[true,false,null]`,
	`0`, `-0`, `-`, `00`, `01`, `-01`, `1.`, `.1`, `1.0`, `1.50`, `1e`, `1e+`, `1E5`, `1e-5`, `1e05`, `+1`, `0x1`, `1_0`, `123456789012345678901234567890`, `1e400`, `0e10000`, `1e10001`, `[1, 1e10001]`, `1e99999999999`, `[1e9999999]`, `Infinity`, `NaN`, `-1`, `[-1, 1, 255, 256, 512, 0.1]`,
	`"`, `"\"`, `"\\"`, `"\\\"`, `"\\\\"`, `"a\nb"`, "\"a\nb\"", "\"\x00\"", "\"\x1f\"", "\"\x7f\"", `"\u0041"`, `"\u00"`, `"\u00g0"`, `"\ud800"`, `"\ud83d\ude00"`, `"\ude00\ud83d"`, `"\x"`, `"\/"`, "\"\xff\"", "\"\xc3\xa9\"", "\"\xed\xa0\x80\"", `"é"`, "\"\u2028\"", "{\"\xff\": 1, \"\xfe\": 2}",
	`{"a":1,"a":2}`, `{"a":1,"a":1}`, `{"a":{"b":1},"a":{"c":2}}`, `{"a":1,"\u0061":3,"b":2}`, `{"":0,"":1}`, "\xef\xbb\xbf{}", "{}\x00", "{} //",
	`{"a string that is too long for the intern table":"a string that is too long for the intern table"}`,
	`{"1": {"2": {"3": {"4": {"5": {"6": [1, [2, [3, [4, [5]]]]]}}}}}}`,
}

func TestJSONIsReadAsByOPA(t *testing.T) {
	for _, text := range texts {
		doc, err := jsonast.Parse([]byte(text), nil)
		sameAsOPA(t, []byte(text), doc, err)
	}
	for _, depth := range []int{9999, 10000, 10001, 100000} {
		text := []byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))
		doc, err := jsonast.Parse(text, nil)
		_, wantErr := byOPA(text)
		if (err != nil) != (wantErr != nil) {
			t.Errorf("%d arrays deep: error %v, OPA's %v", depth, err, wantErr)
		}
		if err == nil && !doc.Value().IsGround() {
			t.Errorf("%d arrays deep: not ground", depth)
		}
	}
}

func TestReuseKeepsTheDepthLimit(t *testing.T) {
	deep := strings.Repeat("[", 9_998) + strings.Repeat("]", 9_998)
	before, err := jsonast.Parse([]byte(deep), nil)
	if err != nil {
		t.Fatal(err)
	}
	a, b := fmt.Sprintf(`{"a": "%070d"}`, 1), fmt.Sprintf(`{"b": "%070d"}`, 2)
	for _, text := range []string{
		"[" + deep + "]", "[[" + deep + "]]", "[[[" + deep + "]]]", "[[" + a + ", " + b + ", " + deep + "]]", "[[[" + a + ", " + b + ", " + deep + "]]]",
	} {
		after, err := jsonast.Parse([]byte(text), before)
		_, wantErr := jsonast.Parse([]byte(text), nil)
		if (err != nil) != (wantErr != nil) {
			t.Errorf("%d levels: error %v; without a previous document %v", strings.Count(text, "["), err, wantErr)
		}
		if err == nil {
			before = after
		}
	}
}

func TestEqualPartsAreOneValue(t *testing.T) {
	member := func(i, n int) string {
		return fmt.Sprintf(`"m%d": {"name": "member %d", "roles": ["reader", "writer", "owner"], "limits": {"requests": %d, "burst": %d}}`, i, i, n, 2*n)
	}
	var members []string
	for i := range 100 {
		members = append(members, member(i, i))
	}
	text := func() []byte {
		return []byte(`{"generated": "today", "tenants": {` + strings.Join(members, ", ") + `}, "version": 1}`)
	}
	before, err := jsonast.Parse(text(), nil)
	if err != nil {
		t.Fatal(err)
	}
	members[50] = member(50, 1000)
	members = append(members[1:], members[0], member(100, 100))
	after, err := jsonast.Parse(text(), before)
	sameAsOPA(t, text(), after, err)
	reread := 0 // though the text was there before
	for i := range 101 {
		at := ast.MustParseRef(fmt.Sprintf("data.tenants.m%d", i))[1:]
		was, _ := before.Value().Find(at)
		is, err := after.Value().Find(at)
		if err != nil {
			t.Fatal(err)
		}
		switch changed := i == 50 || i == 100; {
		case changed && was == is:
			t.Errorf("member %d changed, and is the same value", i)
		case !changed && was != is:
			reread++
		}
	}
	if reread > 1 {
		t.Errorf("%d unchanged members were read anew; want only the one in the place of a removed one", reread)
	}
	third, err := jsonast.Parse(text(), after)
	if err != nil || third.Value() != after.Value() {
		t.Errorf("the same text again is another value (error %v)", err)
	}
}

// The example in the package comment.
func TestTheDocumentedExampleHolds(t *testing.T) {
	ada := `"ada": {"name": "Ada Lovelace",  "mail": "ada@example.com", "roles": ["admin"],  "level": 3}`
	bob := `"bob": {"name": "Bob Bemer",     "mail": "bob@example.com", "roles": ["viewer"], "level": 1}`
	cyd := `"cyd": {"name": "Cyd Charisse",  "mail": "cyd@example.com", "roles": ["editor"], "level": 2}`
	abe := `"abe": {"name": "Abe Lincoln",   "mail": "abe@example.com", "roles": ["viewer"], "level": 1}`
	text := func(users ...string) []byte {
		return []byte(`{"users": {` + strings.Join(users, ",\n") + `}, "limits": {"requests": 100, "burst": 20}}`)
	}
	edited := strings.Replace(bob, `"level": 1`, `"level": 7`, 1)
	for name, c := range map[string]struct {
		before, after []byte
		minListed     int
		same          string
	}{
		"an edit":                {text(ada, bob, cyd), text(ada, edited, cyd), 1 << 16, "ada cyd"},
		"one put in front":       {text(ada, edited, cyd), text(abe, ada, edited, cyd), 1 << 16, "ada bob cyd"},
		"an edit, listed":        {text(ada, bob, cyd), text(ada, edited, cyd), 256, "ada cyd limits"},
		"one in front, listed":   {text(ada, bob, cyd), text(abe, ada, bob, cyd), 256, "ada bob cyd limits"},
		"small ones are read":    {text(ada), text(ada, bob), 1 << 16, "ada"},
		"nothing is the same":    {text(ada), text(bob), 1 << 16, ""},
		"everything is the same": {text(ada, bob), text(ada, bob), 1 << 16, "ada bob limits users"},
	} {
		before, err := jsonast.ParseListing(c.before, nil, c.minListed)
		if err != nil {
			t.Fatal(err)
		}
		after, err := jsonast.ParseListing(c.after, before, c.minListed)
		sameAsOPA(t, c.after, after, err)
		var same []string
		for _, path := range []string{"data.users.ada", "data.users.bob", "data.users.cyd", "data.limits", "data.users"} {
			at := ast.MustParseRef(path)
			was, wasErr := before.Value().Find(at[1:])
			is, isErr := after.Value().Find(at[1:])
			if wasErr == nil && isErr == nil && was == is {
				same = append(same, path[strings.LastIndex(path, ".")+1:])
			}
		}
		if got := strings.Join(same, " "); got != c.same {
			t.Errorf("%s: %q are shared; want %q", name, got, c.same)
		}
	}
}

func TestEditsAreReadAsIfAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		minListed := rapid.SampledFrom([]int{1, 100, 1 << 16}).Draw(t, "minListed")
		text := []byte(randomText(random, 0))
		var doc *jsonast.Document
		for range 8 {
			next, err := jsonast.ParseListing(text, doc, minListed)
			want, wantErr := byOPA(text)
			if err != nil && jsonast.CheckNumbers(text) != nil {
				text = edited(random, text)
				continue // an edit has put digits together to a number that OPA reads and we refuse
			}
			if (err != nil) != (wantErr != nil) {
				t.Fatalf("%q: error %v, OPA's %v", text, err, wantErr)
			}
			if err == nil {
				if !ast.ValueEqual(next.Value(), want) || next.Value().Hash() != want.Hash() {
					t.Fatalf("%q became %v, OPA's is %v", text, next.Value(), want)
				}
				doc = next
			}
			text = edited(random, text)
		}
	})
}

// edited returns text with a piece of it replaced, removed or copied elsewhere.
func edited(random *rand.Rand, text []byte) []byte {
	if random.IntN(6) == 0 {
		return []byte(randomText(random, 0))
	}
	from := random.IntN(len(text) + 1)
	to := min(len(text), from+random.IntN(40))
	to2 := random.IntN(len(text) + 1)
	var put []byte
	switch random.IntN(4) {
	case 0:
		put = []byte(randomText(random, 2))
	case 1:
		put = []byte(fmt.Sprint(random.IntN(100)))
	case 2:
		put = bytes.Clone(text[from:to])
		from, to = to2, to2
	}
	return append(append(bytes.Clone(text[:from]), put...), text[to:]...)
}

func randomText(random *rand.Rand, depth int) string {
	kind := random.IntN(8)
	if depth < 2 {
		kind = random.IntN(3)
	}
	var b strings.Builder
	switch {
	case kind < 2 && depth < 7:
		b.WriteString("{")
		for i := range random.IntN(8) {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%q: %s", fmt.Sprint("key ", random.IntN(12)), randomText(random, depth+1))
		}
		b.WriteString("}")
	case kind == 2 && depth < 7:
		b.WriteString("[")
		for i := range random.IntN(6) {
			if i > 0 {
				b.WriteString(",\n  ")
			}
			b.WriteString(randomText(random, depth+1))
		}
		b.WriteString("]")
	case kind == 3:
		fmt.Fprint(&b, random.IntN(1000)-500)
	case kind == 4:
		fmt.Fprint(&b, random.Float64())
	default:
		out, _ := json.Marshal(strings.Repeat("a <b> é\n\"", random.IntN(5))) //nolint:errchkjson // a string
		b.Write(out)
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	for i, text := range texts {
		f.Add([]byte(text), []byte(texts[(i+7)%len(texts)]))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		doc, err := jsonast.Parse(first, nil)
		sameAsOPA(t, first, doc, err)
		next, err := jsonast.Parse(second, doc)
		sameAsOPA(t, second, next, err)
		// One inside the other, moved by what stands before it.
		around := fmt.Appendf(nil, `{"x": [%s, %s], "y": %s}`, second, first, first)
		again, err := jsonast.Parse(around, next)
		sameAsOPA(t, around, again, err)
		// With the lists of members that only large texts have.
		doc, err = jsonast.ParseListing(first, nil, 1)
		sameAsOPA(t, first, doc, err)
		next, err = jsonast.ParseListing(second, doc, 1)
		sameAsOPA(t, second, next, err)
		again, err = jsonast.ParseListing(around, next, 1)
		sameAsOPA(t, around, again, err)
		next, err = jsonast.ParseListing(around, doc, 1)
		sameAsOPA(t, around, next, err)
	})
}

package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"defenseclaw/engine/corpus"
	"defenseclaw/engine/internal/eval"

	"github.com/open-policy-agent/opa/v1/ast"
	"pgregory.net/rapid"
)

// BenchmarkEvaluate is one decision by each tier, on a small policy and on one that walks much data.
func BenchmarkEvaluate(b *testing.B) {
	for _, p := range []struct {
		name string
		make func() (map[string]string, []corpus.Question)
	}{{"Small", corpus.Small}, {"Walk1MB", func() (map[string]string, []corpus.Question) { return corpus.Grants(1 << 20) }}} {
		files, questions := p.make()
		g, err := Load(b.Context(), (&wild{files: files}).fs(), nil)
		if err != nil {
			b.Fatal(err)
		}
		path, err := ParsePath(questions[0].Path)
		if err != nil {
			b.Fatal(err)
		}
		decide := func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				q := questions[i%len(questions)]
				input, err := ParseJSON([]byte(q.Input))
				if err != nil {
					b.Fatal(err)
				}
				if v, err := g.Evaluate(b.Context(), path, input); err != nil || v.String() != q.Result {
					b.Fatalf("%s of %s is %v, not %s (error %v)", q.Path, q.Input, v, q.Result, err)
				}
			}
		}
		b.Run(p.name+"/First", decide)
		b.Run(p.name+"/MakeSecond", func(b *testing.B) {
			for b.Loop() {
				if err := g.evaluator.Ahead(b.Context(), eval.Path(path)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(p.name+"/Second", decide)
	}
}

// foreseeable draws policies of the kind that have a second tier, and of kinds just beside it: rules that
// look up and search data by the input, whose rules and calls may conflict and fail.
type foreseeable struct {
	wild
	text string // of the policy as far as it is drawn
}

func (w *foreseeable) policy() string {
	w.text = "package p\n"
	if !w.oneIn(3) {
		w.text += "default r0 := false\n"
	}
	for i := range 6 {
		for range 1 + w.intn(3) {
			w.text += w.rule(i) + "\n"
		}
	}
	return w.text
}

// rule may refer to the rules with a lower number.
func (w *foreseeable) rule(i int) string {
	var body []string
	for range 1 + w.intn(3) {
		body = append(body, w.expr(i))
	}
	text := strings.Join(body, "; ")
	switch w.intn(12) {
	case 0, 1:
		return fmt.Sprintf("s%d contains x if { some x in data.list; %s }", i, text)
	case 2:
		return fmt.Sprintf("v%d := data.users[input.a].role", i)
	case 3:
		return fmt.Sprintf("v%d := x if { some x in data.list; %s }", i, text)
	case 4:
		return fmt.Sprintf("v%d := %s if { %s }", i, w.one([]string{"1", "2", `"x"`, "input.b"}), text)
	case 5:
		return fmt.Sprintf("f%d(x) := %s if { x == %s }", i, w.one([]string{"1", "x", "data.users[x].role"}), w.one([]string{"input.a", "1", `"alice"`, "x"}))
	case 6:
		if w.oneIn(4) {
			return fmt.Sprintf("r%d if { %s } else if { %s }", i, text, w.expr(i))
		}
		fallthrough
	default:
		return fmt.Sprintf("r%d if { %s }", i, text)
	}
}

func (w *foreseeable) operand(i int) string {
	return w.one([]string{"input.a", "input.b", "input.c.d", "input", "1", `"alice"`, "data.list[0]", "data.n", "data.gone", w.lower("v", i), w.lower("v", i)})
}

// lower names a rule that comes before rule i, which need not exist.
func (w *foreseeable) lower(kind string, i int) string {
	if i == 0 {
		return "data.n"
	}
	return fmt.Sprintf("data.p.%s%d", kind, w.intn(i))
}

func (w *foreseeable) expr(i int) string {
	switch w.intn(20) {
	case 0:
		return fmt.Sprintf("some role in data.users[%s].roles; role == %s", w.operand(i), w.operand(i))
	case 1:
		return fmt.Sprintf("some name, u in data.users; u.role == %s; name != %s", w.operand(i), w.operand(i))
	case 2:
		return "not " + w.lower("r", i)
	case 3:
		return w.lower("r", i)
	case 4:
		return fmt.Sprintf("%s in %s", w.operand(i), w.lower("s", i))
	case 12:
		if !strings.Contains(w.text, "f0(x)") {
			return "true"
		}
		return fmt.Sprintf("f0(%s) == %s", w.operand(i), w.operand(i))
	case 5:
		return fmt.Sprintf("data.list[_] == %s", w.operand(i))
	case 6:
		return fmt.Sprintf("some k; input.c[k] == %s", w.operand(i))
	case 7:
		if w.oneIn(4) {
			return fmt.Sprintf("startswith(%s, \"a\")", w.operand(i))
		}
		return fmt.Sprintf("startswith(\"alice\", \"%s\")", w.one([]string{"a", "b"}))
	case 8:
		if w.oneIn(4) {
			return fmt.Sprintf("%s + 1 > 1", w.operand(i))
		}
		return "count(data.list) > 1"
	case 9:
		return w.one([]string{"data.n == 5", "data.n == 6", "data.gone", "true", "not data.gone", "not data.n"})
	case 10:
		if w.oneIn(3) {
			return fmt.Sprintf("count([x | some x in data.list; x == %s]) == 1", w.operand(i))
		}
		return fmt.Sprintf("is_string(%s)", w.operand(i))
	case 11:
		if w.oneIn(3) {
			return fmt.Sprintf("every x in data.list { x != %s }", w.operand(i))
		}
		return fmt.Sprintf("%s != %s", w.operand(i), w.operand(i))
	default:
		return fmt.Sprintf("%s %s %s", w.operand(i), w.one([]string{"==", "==", "<", ">=", "!="}), w.operand(i))
	}
}

var foreseeableData = []string{
	`{"users": {"alice": {"role": "admin", "roles": ["admin", "dev"]}, "bob": {"role": "dev", "roles": []}, "x": {"role": 1, "roles": [1, "x"]}}, "list": ["alice", 1, null, "dev", 1], "n": 5}`,
	`{"users": {"alice": {"role": "alice", "roles": ["admin"]}, "1": {"role": 1, "roles": [1, "x"]}}, "list": ["alice", 1, null, "dev", 1], "n": 5}`,
	`{"users": {"alice": {"role": "dev", "roles": ["dev", "dev"]}}, "list": [], "n": "1"}`,
}

func TestASecondTierAnswersAsTheFirst(t *testing.T) {
	var inputs []ast.Value
	for _, a := range []string{`"alice"`, `"bob"`, `1`, `null`, `["x"]`} {
		for _, rest := range []string{``, `, "b": "dev"`, `, "b": 1, "c": {"d": 1, "e": "alice"}`, `, "b": null, "c": {"d": "admin"}`} {
			inputs = append(inputs, ast.MustParseTerm(`{"a": `+a+rest+`}`).Value)
		}
	}
	inputs = append(inputs, nil, ast.MustParseTerm(`"alice"`).Value, ast.MustParseTerm(`{"b": "dev"}`).Value)
	var with, without, failing int
	defer func() {
		t.Logf("%d rules have a second tier, %d have not; %d answers of the first failed", with, without, failing)
		if with < without/10 || failing == 0 {
			t.Error("the policies are not of the kinds that this test is about")
		}
	}()
	rapid.Check(t, func(t *rapid.T) {
		w := &foreseeable{wild: wild{t: t, files: map[string]string{"data.json": foreseeableData[0]}}}
		w.files["data.json"] = w.one(foreseeableData)
		w.files["p.rego"] = w.policy()
		g, err := Load(t.Context(), w.fs(), nil)
		if err != nil {
			t.Skip(err)
		}
		for i := range 6 {
			for _, kind := range []string{"r", "v", "s"} {
				path := Path{"p", fmt.Sprint(kind, i)}
				if !g.HasRules(path) {
					continue
				}
				first := make([]string, len(inputs))
				for i, input := range inputs {
					first[i] = answerOf(t, g, "p/"+path[1], input)
				}
				switch err := g.evaluator.Ahead(t.Context(), eval.Path(path)); {
				case err == nil:
					with++
				case errors.Is(err, eval.ErrNotPartial):
					without++
				default:
					t.Fatalf("%s\n%s: %v", show(w.files), path, err)
				}
				for i, input := range inputs {
					if strings.HasPrefix(first[i], "error") {
						failing++
					}
					if second := answerOf(t, g, "p/"+path[1], input); second != first[i] {
						t.Fatalf("%s\n%s of %v is %s by the first tier and %s by the second", show(w.files), path, input, first[i], second)
					}
				}
			}
		}
	})
}

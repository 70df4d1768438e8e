package engine_test

import (
	"errors"
	"strings"
	"testing"

	"defenseclaw/engine"
)

// FuzzLoad holds that whatever bytes lie in a policy directory, Load gives a generation that answers
// or a refusal whose diagnostics point into the files.
func FuzzLoad(f *testing.F) {
	f.Add("package p\nx := data.a\n", `{"a": 1}`, "b: 2\n")
	f.Add("package p\nx := := 1\n", `{"a": `, "b: [\n")
	f.Add("package p\nimport rego.v1\nallow if { some x in input.y; x == 1 }\n", "\xef\xbb\xbf{}", "")
	f.Add("package p\nq[x] { x := 1 }\n", "[1]", "- 1\n")
	f.Fuzz(func(t *testing.T, module, json, yaml string) {
		files := tree{"p.rego": module, "a/data.json": json, "b/data.yaml": yaml}
		g, err := engine.Load(t.Context(), files.fs(), nil)
		if err == nil {
			if _, _, err := g.Decide(t.Context(), engine.Path{}, nil); errors.Is(err, engine.ErrNoPolicy) {
				t.Errorf("Decide: %v", err)
			}
			return
		}
		var refused *engine.Refused
		if !errors.As(err, &refused) {
			t.Fatalf("%T: %v", err, err)
		}
		if refused.Stage == engine.StagePanic {
			t.Fatalf("crashed: %v", err)
		}
		if len(refused.Diagnostics) == 0 {
			t.Fatalf("%v has no diagnostics", err)
		}
		for _, d := range refused.Diagnostics {
			text, known := files[d.File]
			if !known || d.Line < 0 || d.Line > strings.Count(text, "\n")+1 {
				t.Errorf("%s points nowhere", d)
			}
		}
	})
}

func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"a/b", "/a//b/", "a%2Fb", "%", `"`, "0/1", "a/\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path, err := engine.ParsePath(text)
		if err != nil {
			return
		}
		for _, name := range path {
			if name == "" && !strings.Contains(text, "%") {
				t.Errorf("%q has an empty part", text)
			}
		}
		_ = path.String()
	})
}

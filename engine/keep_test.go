package engine_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
)

// removing is a source that says what is meant to be gone.
type removing struct {
	fstest.MapFS

	gone engine.Removals
}

func (r removing) Removals() engine.Removals { return r.gone }

// open opens what is there when it is called.
func (removing) open(now *removing) func() (fs.FS, error) {
	return func() (fs.FS, error) { return *now, nil }
}

func TestASourceSaysWhatIsMeantToBeGone(t *testing.T) {
	firewall, guardrail := engine.Path{"defenseclaw", "firewall"}, engine.Path{"defenseclaw", "guardrail"}
	for _, tt := range []struct {
		name  string
		files tree
		gone  engine.Removals
		want  string // part of the refusal; empty: it serves
	}{
		{"the package that is gone", guarded.without("firewall.rego"), engine.Removals{Packages: []engine.Path{firewall}}, ""},
		{"another package", guarded.without("firewall.rego"), engine.Removals{Packages: []engine.Path{guardrail}}, "package_removed"},
		{"one of two", guarded.without("firewall.rego", "guardrail.rego"), engine.Removals{Packages: []engine.Path{firewall}}, "data.defenseclaw.guardrail"},
		{"all of it", guarded.without("firewall.rego", "data.json"), engine.Removals{All: true}, ""},
		{"the data that is gone", guarded.without("data.json"), engine.Removals{Files: []string{"data.json"}}, ""},
		{"other data", guarded.without("data.json"), engine.Removals{Files: []string{"data.yml"}}, "data_removed"},
		{"nothing", guarded.without("data.json"), engine.Removals{}, "data_removed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var src removing
			src.MapFS = guarded.fs()
			e := run(t, engine.Config{Keep: kept, Whole: true, Source: src.open(&src)})
			if report := reload(t, e, engine.TriggerStartup); report.Result != engine.Success {
				t.Fatal(report.Refused)
			}
			// It is refused without a word about it, and what is said then counts although the files are the same.
			src = removing{MapFS: tt.files.fs()}
			if report := reload(t, e, engine.TriggerWatch); report.Result != engine.Failed {
				t.Fatalf("nothing was said, and it came to %s", report.Result)
			}
			src = removing{tt.files.fs(), tt.gone}
			report := reload(t, e, engine.TriggerWatch)
			if tt.want == "" {
				if report.Result != engine.Success {
					t.Error(report.Refused)
				}
				return
			}
			if report.Result != engine.Failed || !strings.Contains(text(report.Refused.Diagnostics), tt.want) {
				t.Errorf("%s, %v: %q was expected", report.Result, report.Refused, tt.want)
			}
		})
	}
}

func TestWhatIsLostAndStillIs(t *testing.T) {
	load := func(files tree) *engine.Generation {
		t.Helper()
		g, err := engine.Load(t.Context(), files.fs(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	before, after := load(guarded), load(guarded.without("firewall.rego", "data.json"))
	lost, said := kept.Lost(before, after, engine.Removals{})
	if len(said) != 2 || len(lost.Packages) != 1 || !slices.Equal(lost.Packages[0], engine.Path{"defenseclaw", "firewall"}) || !slices.Equal(lost.Files, []string{"data.json"}) {
		t.Fatalf("%+v: %s", lost, text(said))
	}
	if more, said := kept.Lost(before, after, lost); len(said) > 0 || len(more.Packages)+len(more.Files) > 0 {
		t.Errorf("what is meant to be gone is lost: %+v", more)
	}
	if still := lost.Still(after); len(still.Packages) != 1 || len(still.Files) != 1 {
		t.Errorf("%+v is still gone", still)
	}
	if still := lost.Still(load(guarded.without("data.json"))); len(still.Packages) != 0 || len(still.Files) != 1 {
		t.Errorf("%+v is still gone, and the package is back", still)
	}
	if still := lost.Still(before); len(still.Packages)+len(still.Files) != 0 {
		t.Errorf("%+v is still gone, and all is back", still)
	}
}

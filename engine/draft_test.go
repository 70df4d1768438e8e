package engine_test

import (
	"testing"

	"defenseclaw/engine"
)

func TestADraftSaysOfWhatDoesNotCompileWhatItsFilesSay(t *testing.T) {
	admission := engine.Path{"defenseclaw", "admission"}
	for _, tc := range []struct {
		name     string
		files    tree
		has      bool
		complete bool
		data     string
	}{
		{"a broken module beside it", tree{"a.rego": "package defenseclaw.admission\nx := 1", "b.rego": "package b\nx := := 1", "data.json": `{"a":1}`}, true, true, `{"a": 1}`},
		{"it does not parse itself", tree{"a.rego": "# package p\n package defenseclaw.admission # here\nx := := 1"}, true, true, `{}`},
		{"it does not parse, and is quoted", tree{"a.rego": "package defenseclaw[\"admission\"]\nx := := 1"}, true, true, `{}`},
		{"it does not compile", tree{"a.rego": "package defenseclaw.admission\nx := y", "data.json": `{"a":1}`}, true, true, `{"a": 1}`},
		{"another does not parse", tree{"a.rego": "package defenseclaw.admissions\nx := := 1"}, false, true, `{}`},
		{"no package clause can be found", tree{"a.rego": "x := := 1"}, false, true, `{}`},
		{"a package clause that is none", tree{"a.rego": "package 7\n"}, false, true, `{}`},
		{"no policy at all", tree{"data.json": `{"a":1}`}, false, true, `{"a": 1}`},
		{"a broken data file", tree{"a.rego": "package p", "data.json": `{"a":`, "b/data.json": `{"c":1}`}, false, false, `{"b": {"c": 1}}`},
		{"data that disagree", tree{"a.rego": "package p", "data.json": `{"b":{"c":2}}`, "b/data.json": `{"c":1}`}, false, false, `{"b": {"c": 2}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := engine.LoadDraft(t.Context(), tc.files.fs())
			if err != nil {
				t.Fatal(err)
			}
			if got := d.HasPackage(admission); got != tc.has {
				t.Errorf("HasPackage(%v) = %v, want %v", admission, got, tc.has)
			}
			if got := d.DataComplete(); got != tc.complete {
				t.Errorf("DataComplete() = %v, want %v", got, tc.complete)
			}
			if got := d.Data().String(); got != tc.data {
				t.Errorf("Data() = %s, want %s", got, tc.data)
			}
			if len(d.Files()) != len(tc.files) || d.Root() != "." {
				t.Errorf("%d files below %q, want %d below %q", len(d.Files()), d.Root(), len(tc.files), ".")
			}
		})
	}
}

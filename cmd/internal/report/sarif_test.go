package report_test

import (
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/engine/diagnostic"
)

// TestSARIFHasEncodedURIs uses names of files with characters that URIs encode, and checks the result with the schema of OASIS.
func TestSARIFHasEncodedURIs(t *testing.T) {
	wd, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{
		"a b.rego", "100%.rego", "%41.rego", "a#b.rego", "a?b=c.rego", "größe.rego", "a\nb.rego", "a:b.rego", "::error::.rego",
		"\x1b[2J.rego", "a\xffb.rego", "sub dir/ü.rego", "\u202egor.rego",
	}
	for _, tc := range []struct{ dir, base string }{
		{"policy", "%SRCROOT%"}, {".", "%SRCROOT%"}, {filepath.Join(wd, "policy"), "%SRCROOT%"}, {"http:", "%SRCROOT%"},
		{"/elsewhere", ""}, {"../policy", ""},
	} {
		found := report.Validation{Dir: tc.dir, Version: "v1"}
		for _, name := range names {
			found.Diagnostics = append(found.Diagnostics, diagnostic.Diagnostic{
				File: name, Line: 1, Column: 1, Code: "rego_parse_error", Message: "x\n\u202e", Text: "größe := 1",
			})
		}
		var out strings.Builder
		if err := found.Write(&out, "sarif"); err != nil {
			t.Fatal(err)
		}
		validSARIF(t, out.String())
		for i, at := range locations(t, out.String()) {
			if at.URIBaseID != tc.base {
				t.Errorf("%s in %s has the base %q, want %q", names[i], tc.dir, at.URIBaseID, tc.base)
			}
			parsed, err := url.Parse(at.URI)
			if err != nil || parsed.RawQuery != "" || parsed.Fragment != "" || parsed.IsAbs() != (tc.base == "") {
				t.Errorf("%q: %v", at.URI, err)
				continue
			}
			if want, err := filepath.Abs(filepath.Join(tc.dir, names[i])); err != nil || absolute(t, parsed.Path) != want {
				t.Errorf("%q is %q, want %q", at.URI, absolute(t, parsed.Path), want)
			}
		}
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

type artifactLocation struct{ URI, URIBaseID string }

func locations(t *testing.T, sarif string) (found []artifactLocation) {
	t.Helper()
	var log struct {
		Runs []struct {
			Results []struct {
				Locations []struct {
					PhysicalLocation struct{ ArtifactLocation artifactLocation }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(sarif), &log); err != nil {
		t.Fatal(err)
	}
	for _, r := range log.Runs[0].Results {
		found = append(found, r.Locations[0].PhysicalLocation.ArtifactLocation)
	}
	return found
}

func validSARIF(t *testing.T, sarif string) {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile("testdata/sarif-schema-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(sarif))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(instance); err != nil {
		t.Error(err)
	}
}

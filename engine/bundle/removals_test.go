package bundle_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"defenseclaw/engine/bundle"
)

func TestAManifestSaysWhatIsMeantToBeGone(t *testing.T) {
	module := [2]string{"p.rego", "package p\n\nx := 1\n"}
	manifest := func(text string) [2]string { return [2]string{".manifest", text} }
	got := read(t, packed(t, module, manifest(`{"roots": ["p", "defenseclaw/audit"], "metadata": {"accept_removals": {
		"packages": ["defenseclaw/firewall", "/defenseclaw/audit/", ""], "files": ["x/data.json"]}}}`))).Removals
	if len(got.Packages) != 1 || strings.Join(got.Packages[0], "/") != "defenseclaw/audit" || !slices.Equal(got.Files, []string{"x/data.json"}) {
		t.Errorf("%+v: what is another bundle's was expected to be left out", got)
	}
	if got := read(t, packed(t, module, manifest(`{"metadata": {"accept_removals": {"packages": ["defenseclaw/firewall"]}}}`))).Removals; len(got.Packages) != 1 {
		t.Errorf("%+v", got)
	}
	if got := read(t, packed(t, module, manifest(`{"metadata": {"other": 1}}`))).Removals; len(got.Packages)+len(got.Files) > 0 {
		t.Errorf("%+v", got)
	}
	for _, wrong := range []string{`true`, `{"packages": "p"}`, `{"files": [1]}`, `[]`} {
		_, err := bundle.Read(t.Context(), bytes.NewReader(packed(t, module, manifest(`{"metadata": {"accept_removals": `+wrong+`}}`))), bundle.Limits{}, nil)
		if err == nil || !strings.Contains(err.Error(), "metadata.accept_removals") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

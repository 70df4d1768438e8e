package source

import (
	"path"
	"slices"
	"strings"
)

// SignaturesName is the name of OPA's file of signatures. It is hidden, so it is no policy and is read by its name.
const SignaturesName = ".signatures.json"

// Tests are the *_test.rego files, sorted by path, if they were read aside. Not to be changed.
func (r *Reading) Tests() []*File { return r.tests }

// Signatures are the paths of the files called [SignaturesName] that lie within the policy.
func (r *Reading) Signatures() []string { return r.signatures }

// Takes reports whether a file at the slash path p, relative to the policy directory, would be in this reading, as a test
// too, if it were there. Links and limits are left out of account.
func (r *Reading) Takes(p string) bool {
	rel := p
	if r.root != "." {
		var inside bool
		if rel, inside = strings.CutPrefix(p, r.root+"/"); !inside {
			return false
		}
	}
	if path.Clean(rel) != rel || !RelevantToTests(rel) {
		return false
	}
	return kindOf(path.Base(rel)) != KindOverlay || slices.Contains(r.overlays, rel)
}

// setTestsAside takes the tests out of the files.
func (r *Reading) setTestsAside() {
	files := make([]*File, 0, len(r.files))
	for _, f := range r.files {
		if f.kind == KindTest {
			r.tests = append(r.tests, f)
		} else {
			files = append(files, f)
		}
	}
	r.files = files
}

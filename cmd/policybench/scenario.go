package main

import (
	"fmt"
	"io/fs"
	"path/filepath"

	"defenseclaw/engine/corpus"
	"defenseclaw/policies"
)

// A scenario is a corpus and what is measured on it.
type scenario struct {
	corpus    string            // its name
	files     map[string]string // by path
	kinds     []kind
	steady    corpus.Question   // asked all the time, during edits and storms
	questions []corpus.Question // answered alike by all programs; without results
	storm     bool              // measure a storm of edits
}

// A kind is a kind of edit.
type kind struct {
	name string
	by   func(staging string) save
	next func(version int) change
}

func renaming(string) save             { return renameSave }
func inPlace(string) save              { return inPlaceSave }
func moving(staging string) save       { return moveSave(staging) }
func stagingDir(home string) string    { return filepath.Join(home, "elsewhere") }
func (k kind) measure() string         { return "edit to live: " + k.name }
func (s scenario) leaf() kind          { return s.kinds[0] }
func tenantDoc(i int, r string) string { return fmt.Sprintf("tenants/t%d/%s", i, r) }

const (
	editedTenant  = 5
	editedLibrary = 2
	libraryUser   = 2 // a tenant that imports the edited library
	steadyTenant  = 7 // the tenant of the steady decision, which imports the edited library too
)

func leafEdit(version int) change {
	return change{
		path: corpus.TenantPath(editedTenant), text: corpus.Tenant(editedTenant, version),
		shows: corpus.Question{Path: tenantDoc(editedTenant, "version"), Result: fmt.Sprint(version)},
	}
}

func libraryEdit(version int) change {
	return change{
		path: corpus.LibraryPath(editedLibrary), text: corpus.Library(editedLibrary, version),
		shows: corpus.Question{Path: tenantDoc(libraryUser, "built_on"), Result: fmt.Sprintf("[%d,0]", version)},
	}
}

// signatureEdit changes the type of a constant that all tenants of the library use and adds a rule, in odd
// versions. Even versions undo that.
func signatureEdit(version int) change {
	c := libraryEdit(version)
	if version%2 == 1 {
		c.text = corpus.LibraryWithAnotherSignature(editedLibrary, version)
		c.shows.Result = fmt.Sprintf(`["v%d",0]`, version)
	}
	return c
}

// tenants returns the scenario with n tenant modules.
func tenants(n int) scenario {
	return scenario{
		corpus: number(float64(n)) + " tenants",
		files:  corpus.Tenants(max(n, 10)),
		kinds: []kind{
			{"a leaf, rename-save", renaming, leafEdit},
			{"a leaf, moved in from elsewhere", moving, leafEdit},
			{"a leaf, in-place save", inPlace, leafEdit},
			{"a library, signature unchanged", renaming, libraryEdit},
			{"a library, signature changed", renaming, signatureEdit},
		},
		steady:    steadyDecision(),
		questions: tenantQuestions(n),
		storm:     true,
	}
}

// users returns the scenario with 100 tenant modules and a data.json of mb MB.
func users(mb int) scenario {
	size := mb * megabyte
	s := tenants(100)
	s.corpus = fmt.Sprintf("100 tenants, %d MB of data", mb)
	s.files["data.json"] = corpus.Users(size, 0)
	s.kinds = []kind{{"one key of data.json, rename-save", renaming, func(version int) change {
		return change{
			path: "data.json", text: corpus.Users(size, version),
			shows: corpus.Question{Path: "users/" + corpus.EditedUser + "/level", Result: fmt.Sprint(version)},
		}
	}}}
	s.questions = append(s.questions[:12:12],
		corpus.Question{Path: "users/" + corpus.EditedUser},
		corpus.Question{Path: "users/u000007/limits"},
		corpus.Question{Path: "regions"})
	s.storm = false
	return s
}

// pack returns the scenario of the default pack, which is started and not edited.
func pack() (scenario, error) {
	s := scenario{corpus: "the default pack", files: map[string]string{}, steady: corpus.Question{
		Path:   "defenseclaw/admission/verdict",
		Input:  `{"target_type":"skill","target_name":"a","path":"/a","block_list":[],"allow_list":[]}`,
		Result: `"scan"`,
	}}
	err := fs.WalkDir(policies.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(policies.FS(), name)
		s.files[name] = string(text)
		return err
	})
	return s, err
}

func steadyDecision() corpus.Question {
	const input = `{"user":{"name":"alice","roles":["viewer"]},"action":"read","size":10,"region":"eu","tenant":"t%d"}`
	return corpus.Question{
		Path: tenantDoc(steadyTenant, "allow"), Input: fmt.Sprintf(input, steadyTenant), Result: "true",
	}
}

// firstQuestion is the index in [tenantQuestions] of the question that is asked first after an edit.
const firstQuestion = 3

// tenantQuestions returns the questions by which the answers of the programs are compared.
func tenantQuestions(n int) []corpus.Question {
	const (
		allowed = `{"user":{"name":" Alice ","roles":["editor"]},"action":"write","size":10,"age":3,"region":"eu"}`
		denied  = `{"user":{"name":"mallory-%d","roles":["admin"]},"action":"delete","size":1000000,"region":"nowhere",` +
			`"tenant":"t%d"}`
	)
	questions := []corpus.Question{{Path: "lib/lib2/version"}, {Path: "lib/lib2/roles"}, {Path: "regions"}}
	for _, t := range []int{editedTenant, libraryUser, steadyTenant, max(n, 10) - 1} {
		for _, rule := range []string{"allow", "quota", "reasons", "risk", "name", "built_on", "version"} {
			for _, input := range []string{allowed, fmt.Sprintf(denied, t, t)} {
				questions = append(questions, corpus.Question{Path: tenantDoc(t, rule), Input: input})
			}
		}
	}
	return questions
}

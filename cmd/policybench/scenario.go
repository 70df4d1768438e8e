package main

import (
	"fmt"
	"path/filepath"

	"defenseclaw/engine/corpus"
)

// A scenario is a corpus and what is measured on it.
type scenario struct {
	corpus    string // its name
	files     map[string]string
	kinds     []kind
	steady    [3]string // path, input and result of the decision that must never wait
	questions [][2]string
	storm     bool
}

// A kind is a way to edit. next makes the version that follows.
type kind struct {
	name string
	by   func(staging string) save
	next func(version int) (path, text, probe, want string)
}

func renaming(string) save             { return renameSave }
func inPlace(string) save              { return inPlaceSave }
func moving(staging string) save       { return moveSave(staging) }
func stagingDir(home string) string    { return filepath.Join(home, "elsewhere") }
func (k kind) measure() string         { return "edit to live: " + k.name }
func (s scenario) leaf() kind          { return s.kinds[0] }
func dataPath(key string) string       { return "users/" + key + "/level" }
func tenantDoc(i int, r string) string { return fmt.Sprintf("tenants/t%d/%s", i, r) }

// The tenants and the library that are edited. The steady decision is another tenant's, which uses the library.
const (
	editedTenant  = 5
	editedLibrary = 2
	tenantOfIt    = 2
	steadyTenant  = 7
)

func leafEdit(version int) (path, text, probe, want string) {
	return corpus.TenantPath(editedTenant), corpus.Tenant(editedTenant, version), tenantDoc(editedTenant, "version"), fmt.Sprint(version)
}

func libraryEdit(version int) (path, text, probe, want string) {
	return corpus.LibraryPath(editedLibrary), corpus.Library(editedLibrary, version),
		tenantDoc(tenantOfIt, "built_on"), fmt.Sprintf("[%d,0]", version)
}

// signatureEdit turns a constant that all its users see from a number into a string, adds a rule, and
// takes both back the next time.
func signatureEdit(version int) (path, text, probe, want string) {
	path, text, probe, want = libraryEdit(version)
	if version%2 == 1 {
		text, want = corpus.LibraryWithAnotherSignature(editedLibrary, version), fmt.Sprintf(`["v%d",0]`, version)
	}
	return path, text, probe, want
}

// tenants is the corpus of policies.
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

// users is the corpus of data: a hundred tenants and a data.json of so many MB.
func users(mb int) scenario {
	size := mb * megabyte
	s := tenants(100)
	s.corpus = fmt.Sprintf("100 tenants, %d MB of data", mb)
	s.files["data.json"] = corpus.Users(size, 0)
	s.kinds = []kind{{"one key of data.json, rename-save", renaming, func(version int) (path, text, probe, want string) {
		return "data.json", corpus.Users(size, version), dataPath(corpus.EditedUser), fmt.Sprint(version)
	}}}
	s.questions = append(s.questions[:12:12], [2]string{"users/" + corpus.EditedUser, ""}, [2]string{"users/u000007/limits", ""}, [2]string{"regions", ""})
	s.storm = false
	return s
}

func steadyDecision() [3]string {
	return [3]string{
		tenantDoc(steadyTenant, "allow"),
		fmt.Sprintf(`{"user":{"name":"alice","roles":["viewer"]},"action":"read","size":10,"region":"eu","tenant":"t%d"}`, steadyTenant),
		"true",
	}
}

// firstQuestion is the one of [tenantQuestions] that is asked first after an edit.
const firstQuestion = 3

// tenantQuestions are the paths and inputs by which the programs' answers are compared.
func tenantQuestions(n int) [][2]string {
	questions := [][2]string{{"lib/lib2/version", ""}, {"lib/lib2/roles", ""}, {"regions", ""}}
	for _, t := range []int{editedTenant, tenantOfIt, steadyTenant, max(n, 10) - 1} {
		for _, rule := range []string{"allow", "quota", "reasons", "risk", "name", "built_on", "version"} {
			for _, input := range []string{
				`{"user":{"name":" Alice ","roles":["editor"]},"action":"write","size":10,"age":3,"region":"eu"}`,
				fmt.Sprintf(`{"user":{"name":"mallory-%d","roles":["admin"]},"action":"delete","size":1000000,"region":"nowhere","tenant":"t%d"}`, t, t),
			} {
				questions = append(questions, [2]string{tenantDoc(t, rule), input})
			}
		}
	}
	return questions
}

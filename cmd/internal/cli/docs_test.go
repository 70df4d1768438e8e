package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"

	"github.com/urfave/cli/v2"
)

// pages are the Markdown files of docs at any depth. What an example names is tested where it runs.
func pages(t *testing.T, docs string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(docs, func(path string, entry os.DirEntry, err error) error {
		if err == nil && (entry.Name() == "examples" || entry.Name() == "kubernetes") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			names = append(names, path)
		}
		return err
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("no docs: %v", err)
	}
	return names
}

func readDocs(t *testing.T) (all string) {
	t.Helper()
	const top = "../../../"
	names := pages(t, top+"docs")
	for _, name := range append(names, top+"README.md", top+"policies/rego/README.md", top+".github/CONTRIBUTING.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	return all
}

// flagsOf lists every flag of the command tree, and the commands by their full names.
func flagsOf(commands []*cli.Command, prefix string) (flags, names []string) {
	for _, c := range commands {
		name := strings.TrimSpace(prefix + " " + c.Name)
		if len(c.Subcommands) == 0 {
			names = append(names, name)
		}
		for _, f := range c.Flags {
			flags = append(flags, f.Names()...)
		}
		moreFlags, moreNames := flagsOf(c.Subcommands, name)
		flags, names = append(flags, moreFlags...), append(names, moreNames...)
	}
	return flags, names
}

func TestTheDocumentsNameWhatExistsAndNothingElse(t *testing.T) {
	all := readDocs(t)
	flags, commands := flagsOf(newApp().Commands, "")
	for _, name := range flags {
		if name = "-" + name; !strings.Contains(all, "`-"+name) && !strings.Contains(all, "`"+name) {
			t.Errorf("no document mentions the flag -%s", name)
		}
	}
	for _, m := range regexp.MustCompile("`(?:defenseclaw(?:-gateway)? )?(policy|fleet|audit|list|token|config) ([a-z][a-z-]*)").FindAllStringSubmatch(all, -1) {
		messages := []string{"policy directory", "policy reloaded", "policy refused", "audit record"} // that begin like a command
		if name := m[1] + " " + m[2]; !slices.Contains(messages, name) && !slices.ContainsFunc(commands, func(c string) bool { return c == name || strings.HasPrefix(c, name+" ") }) {
			t.Errorf("the documents mention the command %s, which does not exist", name)
		}
	}
	known := append([]string{"help", "version"}, flags...)
	for _, m := range regexp.MustCompile("`--([a-z][a-z-]*)").FindAllStringSubmatch(all, -1) {
		if !slices.Contains(known, m[1]) {
			t.Errorf("the documents mention --%s, which does not exist", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`DEFENSECLAW_[A-Z_]+`).FindAllString(all, -1) {
		inKeys := []string{"DEFENSECLAW_LLM_KEY", "DEFENSECLAW_LLM_MODEL", "DEFENSECLAW_DECISION_LOG_TOKEN", // read for a key's sake
			"DEFENSECLAW_IMAGE"} // an argument of the Dockerfile that init writes
		if !slices.Contains(inKeys, m) && !slices.Contains(fleetVariables, m) && !slices.ContainsFunc(settings.Table(), func(s settings.Setting) bool { return s.Env == m }) {
			t.Errorf("the documents mention %s, which does not exist", m)
		}
	}
}

// TestTheFirstPagesNameWhatExists looks up the commands, flags, routes and targets of make that README.md and docs/start name in
// their text: a reader types them before he knows any other page.
func TestTheFirstPagesNameWhatExists(t *testing.T) {
	known := namesOfTheProgram(t)
	names, err := filepath.Glob("../../../docs/start/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "../../../README.md") {
		text := regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(readFile(t, name), "")
		for _, m := range regexp.MustCompile("`((?:(?:policy|fleet|audit|list|token|config|migrate|serve|console|healthcheck|lsp|make|GET|POST)\\b[^`./]*|--[^`]*|(?:GET|POST) /[^`]*))`").FindAllStringSubmatch(text, -1) {
			if _, err := known.has(m[1]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestTheArchitectureNamesSymbolsThatExist keeps docs/ARCHITECTURE.md up to date with the code.
func TestTheArchitectureNamesSymbolsThatExist(t *testing.T) {
	const top = "../../../"
	text, err := os.ReadFile(top + "docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	err = filepath.WalkDir(top, func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			source, err := os.ReadFile(path)
			code.Write(source)
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`([A-Za-z]+\\.)?([A-Za-z]+)`").FindAllStringSubmatch(string(text), -1) {
		name := m[2]
		if name == strings.ToLower(name) && m[1] == "" {
			continue // a folder, a command, a word
		}
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(code.String()) {
			t.Errorf("docs/ARCHITECTURE.md mentions %s%s, which is not in the code", m[1], name)
		}
	}
}

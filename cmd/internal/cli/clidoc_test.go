package cli

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "write the pages of docs/reference/cli")

// TestTheCommandsAreDocumented compares the pages of docs/reference/cli with the command tree; make docs writes them.
func TestTheCommandsAreDocumented(t *testing.T) {
	const dir = "../../../docs/reference/cli"
	want := documents(t, newApp())
	if *update {
		for name, text := range want {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // a document
				t.Fatal(err)
			}
		}
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil || len(found) != len(want) {
		t.Errorf("docs/reference/cli holds %q and %d pages were expected (%v)", found, len(want), err)
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != text {
			t.Errorf("docs/reference/cli/%s differs from the command tree: run make docs (%v)", name, err)
		}
		if lines := strings.Count(text, "\n"); lines >= 300 {
			t.Errorf("docs/reference/cli/%s has %d lines: give some of its commands a page of their own", name, lines)
		}
	}
}

// command is one that can be typed: its name is empty where the program's name is all that is typed.
type command struct {
	name, usage, args string
	flags             []cli.Flag
}

func (c command) title() string {
	if c.name == "" {
		return "(no command)"
	}
	return strings.TrimSpace(c.name + " " + c.args)
}

// sentence is the usage with a capital and a full stop.
func (c command) sentence() string { return strings.ToUpper(c.usage[:1]) + c.usage[1:] + "." }

// short is the sentence without what it says of exit codes, which have a column of their own.
func (c command) short() string {
	text, _, _ := strings.Cut(c.sentence(), "; exit")
	text, _, _ = strings.Cut(text, " Exits with")
	return strings.TrimSuffix(text, ".") + "."
}

// everyCommand returns the commands of the tree in the order of --help.
func everyCommand(app *cli.App) []command {
	all := []command{{usage: app.Usage + "; the same as serve", flags: app.Flags}}
	var walk func(prefix string, cs []*cli.Command)
	walk = func(prefix string, cs []*cli.Command) {
		for _, c := range cs {
			name := strings.TrimSpace(prefix + " " + c.Name)
			if len(c.Subcommands) == 0 || len(c.Flags) > 0 {
				all = append(all, command{name, c.Usage, c.ArgsUsage, c.Flags})
			}
			walk(name, c.Subcommands)
		}
	}
	walk("", app.Commands)
	return all
}

// documents returns the pages by the names of their files.
func documents(t *testing.T, app *cli.App) map[string]string {
	t.Helper()
	all, pages := everyCommand(app), map[string]string{}
	for _, p := range cliPages {
		var b strings.Builder
		fmt.Fprintf(&b, "# %s\n\n", p.title)
		paragraph(&b, p.about+" Written by `make docs`.")
		for _, f := range sharedFlags() {
			if f.page == p.file {
				f.define(&b)
			}
		}
		for _, c := range all {
			if pageOf(c.name) == p.file {
				c.document(&b, p.file)
			}
		}
		pages[p.file] = b.String()
	}
	pages["README.md"] = cliIndex(t, all)
	return pages
}

// cliIndex lists the commands with their exit codes.
func cliIndex(t *testing.T, all []command) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Commands\n\n")
	paragraph(&b, "`defenseclaw` and `defenseclaw-gateway` are the same commands. Results go to standard output, everything else to standard error. "+
		"Flags and arguments go in any order; what follows `--` is an argument. Written by `make docs` from the command tree.")
	b.WriteString("\n")
	paragraph(&b, "The column of exit codes says what a command adds to the codes that every command has: 0 done, 1 failed, 2 usage, and, where it asks "+
		"the sidecar, 5 no answer in time and 6 nothing answers. [Exit codes](../exit-codes.md) has all of them.")
	b.WriteString("\n")
	codes := maps.Clone(exitCodes)
	for _, p := range cliPages {
		fmt.Fprintf(&b, "## %s\n\n| command | | exit codes |\n|---|---|---|\n", p.title)
		for _, c := range all {
			if pageOf(c.name) != p.file {
				continue
			}
			code, ok := codes[c.name]
			if !ok {
				t.Errorf("%s has no row in exitCodes", c.title())
			}
			delete(codes, c.name)
			fmt.Fprintf(&b, "| [`%s`](%s#%s) | %s | %s |\n", cell(c.title()), p.file, anchor(c.title()), cell(c.short()), code)
		}
		b.WriteString("\n")
	}
	if len(codes) > 0 {
		t.Errorf("exitCodes has commands that do not exist: %q", slices.Sorted(maps.Keys(codes)))
	}
	for _, f := range sharedFlags() {
		if f.page == "README.md" {
			f.define(&b)
		}
	}
	return strings.ReplaceAll(b.String(), "\n\n\n", "\n\n")
}

// document writes the section of a command.
func (c command) document(b *strings.Builder, file string) {
	fmt.Fprintf(b, "\n## `%s`\n\n", c.title())
	paragraph(b, c.sentence())
	own := c.flags
	var also []string
	for _, f := range sharedFlags() {
		if f.within(c.flags) {
			also = append(also, f.link(file))
			own = slices.DeleteFunc(slices.Clone(own), f.has)
		}
	}
	if len(also) > 0 {
		b.WriteString("\n")
		paragraph(b, "It takes "+strings.Join(also, " and ")+".")
	}
	if len(own) > 0 {
		b.WriteString("\n")
		flagTable(b, own)
	}
}

func flagTable(b *strings.Builder, flags []cli.Flag) {
	b.WriteString("| flag | |\n|---|---|\n")
	for _, f := range flags {
		names := make([]string, 0, len(f.Names()))
		for _, n := range f.Names() {
			names = append(names, strings.Repeat("-", min(len(n), 2))+n)
		}
		placeholder, text := "", ""
		if d, ok := f.(cli.DocGenerationFlag); ok {
			text = d.GetUsage()
			if d.TakesValue() {
				placeholder = " VALUE"
				if _, rest, found := strings.Cut(text, "`"); found {
					value, _, _ := strings.Cut(rest, "`")
					placeholder = " " + value
				}
				if v := d.GetDefaultText(); v != "" && v != `""` && !strings.Contains(text, "default:") {
					text += " (default: " + strings.Trim(v, `"`) + ")"
				}
			}
		}
		fmt.Fprintf(b, "| `%s%s` | %s |\n", strings.Join(names, "`, `"), placeholder, cell(strings.ReplaceAll(text, "`", "")))
	}
}

// cell is text for a cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// anchor is the name that GitHub and Hugo give a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_':
			return r
		}
		return -1
	}, strings.ToLower(heading))
}

// paragraph writes text in lines of fewer than 120 characters.
func paragraph(b *strings.Builder, text string) {
	length := 0
	for word := range strings.FieldsSeq(text) {
		if n := len([]rune(word)); length > 0 && length+1+n > 118 {
			b.WriteString("\n")
			length = n
		} else {
			if length > 0 {
				b.WriteString(" ")
				length++
			}
			length += n
		}
		b.WriteString(word)
	}
	b.WriteString("\n")
}

package cli

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "write docs/reference/cli.md")

// TestTheCommandsAreDocumented compares docs/reference/cli.md with the command tree; make docs writes it.
func TestTheCommandsAreDocumented(t *testing.T) {
	const path = "../../../docs/reference/cli.md"
	want := document(newApp())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("docs/reference/cli.md differs from the command tree: run make docs (%v)", err)
	}
}

// document returns the command tree as Markdown.
func document(app *cli.App) string {
	var b strings.Builder
	b.WriteString("# Commands\n\nWritten by `make docs` from the command tree. Results go to standard output, everything else to standard error.\n" +
		"`defenseclaw` and `defenseclaw-gateway` are the same tree. Flags and arguments go in any order; what follows `--` is an argument.\n")
	section(&b, "", app.Usage, "", app.Flags)
	for _, c := range app.Commands {
		commands(&b, c.Name, c)
	}
	return b.String()
}

func commands(b *strings.Builder, name string, c *cli.Command) {
	if len(c.Subcommands) == 0 || len(c.Flags) > 0 {
		section(b, name, c.Usage, c.ArgsUsage, c.Flags)
	}
	for _, sub := range c.Subcommands {
		commands(b, name+" "+sub.Name, sub)
	}
}

func section(b *strings.Builder, name, usage, args string, flags []cli.Flag) {
	title := strings.TrimSpace(name + " " + args)
	if name == "" {
		title = "(no command)"
	}
	fmt.Fprintf(b, "\n## `%s`\n\n%s.\n", title, strings.ToUpper(usage[:1])+usage[1:])
	if name == "" {
		b.WriteString("\nThe flags are those of `serve`.\n")
		return
	}
	if len(flags) == 0 {
		return
	}
	b.WriteString("\n| flag | |\n|---|---|\n")
	for _, f := range flags {
		names := make([]string, 0, len(f.Names()))
		for _, n := range f.Names() {
			dashes := "--"
			if len(n) == 1 {
				dashes = "-"
			}
			names = append(names, dashes+n)
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
		fmt.Fprintf(b, "| `%s%s` | %s |\n", strings.Join(names, "`, `"), placeholder, strings.ReplaceAll(strings.ReplaceAll(text, "`", ""), "|", `\|`))
	}
}

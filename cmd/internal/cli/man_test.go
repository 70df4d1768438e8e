package cli

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

var manualPage = flag.String("man", "", "write the manual page, roff, to `FILE`")

// TestTheManualPage makes the page of section 8 from the command tree; make packages has it written. Every command and flag must be in it.
func TestTheManualPage(t *testing.T) {
	app := newApp()
	page, err := app.ToManWithSection(8)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page, `.TH defenseclaw-gateway 8`) {
		t.Errorf("the page has no title for section 8: %.200s", page)
	}
	plain := strings.ReplaceAll(page, `\-`, "-")
	var walk func([]*cli.Command)
	walk = func(commands []*cli.Command) {
		for _, c := range commands {
			if !strings.Contains(plain, c.Name) {
				t.Errorf("the page does not name the command %s", c.Name)
			}
			for _, f := range c.Flags {
				if !strings.Contains(plain, "--"+f.Names()[0]) && len(f.Names()[0]) > 1 {
					t.Errorf("the page does not name the flag --%s of %s", f.Names()[0], c.Name)
				}
			}
			walk(c.Subcommands)
		}
	}
	walk(app.Commands)
	if *manualPage == "" {
		return
	}
	if err := os.WriteFile(*manualPage, []byte(page), 0o644); err != nil { //nolint:gosec // a document
		t.Fatal(err)
	}
}

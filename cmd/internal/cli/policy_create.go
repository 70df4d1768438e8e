package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/preset"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/source"

	"github.com/urfave/cli/v2"
)

func createCommand() *cli.Command {
	return &cli.Command{
		Name: "create",
		Usage: "write NAME.yaml, a policy to edit and to activate, where policy list finds it; overwrites nothing. " +
			"Exits with 2 if the name cannot be one",
		ArgsUsage: "NAME",
		Flags: append(settingFlags("policy-dir", "data-dir"),
			&cli.StringFlag{
				Name: "from", Aliases: []string{"from-preset"}, Value: "default",
				Usage: "start with what the policy `NAME` of policy list says (default: default)",
			},
			&cli.StringFlag{Name: "description", Aliases: []string{"d"}, Usage: "`TEXT` that policy list shows; without it that of the policy it starts with"},
		),
		OnUsageError: usageExit,
		Action:       createPolicy,
	}
}

func createPolicy(c *cli.Context) error {
	if c.NArg() != 1 {
		return &exitError{exitUsage, errors.New("expected one name, after the flags: policy create --from strict NAME")}
	}
	name := c.Args().First()
	if err := newName(name); err != nil {
		return &exitError{exitUsage, err}
	}
	if err := preset.CheckName(c.String("from")); err != nil {
		return &exitError{exitUsage, fmt.Errorf("--from: %w", err)}
	}
	s, err := resolve(c)
	if err != nil {
		return err
	}
	sayServed(c, s)
	dir := presetDir(s)
	if s.PolicyDir == "" { // the data directory's own folder; one that an operator names has to be there
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	file, err := preset.Create(dir, name, c.String("from"), c.String("description"))
	if err != nil {
		return err
	}
	terminal.Fprintf(c.App.Writer, "wrote    %s, from policy %s\n", file, c.String("from"))
	if s.PolicyDir == "" {
		terminal.Fprintf(c.App.ErrWriter, "before it can be activated: %s\n", errEmbedded)
	}
	terminal.Fprintf(c.App.Writer, "\nNext:    edit it, then defenseclaw policy activate %s\n", strings.Join(append(sameDir(c, s), name), " "))
	return nil
}

// newName returns an error for a name that a new policy cannot have.
func newName(name string) error {
	if err := preset.CheckName(name); err != nil {
		return err
	}
	if slices.Contains(preset.BuiltIn(), name) {
		return fmt.Errorf("policy %s is built in: another name was expected", name)
	}
	// The engine reads data.yaml, and data-NAME.yaml over it: there, the policy would serve without an activation.
	if source.Relevant(strings.ToLower(name) + ".yaml") {
		return fmt.Errorf("%s.yaml would be data of the policy directory: another name than data or data-… was expected", name)
	}
	return nil
}

// sameDir are the flags by which another command finds the directory that this one was told.
func sameDir(c *cli.Context, s settings.Settings) (flags []string) {
	given := flagValues(c)
	for _, of := range []struct{ flag, dir string }{{"policy-dir", s.PolicyDir}, {"data-dir", s.DataDir}} {
		if _, ok := given(of.flag); ok && of.dir != "" {
			flags = append(flags, "--"+of.flag, of.dir)
		}
	}
	return flags
}

func usageExit(_ *cli.Context, err error, _ bool) error { return &exitError{exitUsage, err} }

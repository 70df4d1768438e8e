package cli

import (
	"fmt"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/preset"
	"defenseclaw/cmd/internal/report"

	"github.com/urfave/cli/v2"
)

func editCommand() *cli.Command {
	return &cli.Command{
		Name:  "edit",
		Usage: "change single values of the policy directory's data.json",
		Subcommands: []*cli.Command{
			editSection("actions", "change what is done about findings of a severity; one that has no actions yet needs all three", editActions,
				severityFlag(), runtimeFlag(), fileFlag(), installFlag()),
			editSection("scanner", "change what is done about findings of a severity in one type of target, which goes before policy edit actions; "+
				"one that has no actions yet needs all three", editScanner,
				&cli.StringFlag{Name: "type", Usage: "for targets of `TYPE`: skill, mcp or plugin"},
				severityFlag(), runtimeFlag(), fileFlag(), installFlag(),
				&cli.BoolFlag{Name: "remove", Usage: "remove what is there for the type and the severity"}),
			editSection("guardrail", "change from which severity on the guardrail blocks and alerts", editGuardrail,
				&cli.StringFlag{Name: "block-threshold", Usage: "block from `RANK` on: 1 LOW, 2 MEDIUM, 3 HIGH, 4 CRITICAL"},
				&cli.StringFlag{Name: "alert-threshold", Usage: "alert from `RANK` on: 1 LOW, 2 MEDIUM, 3 HIGH, 4 CRITICAL"},
				&cli.StringFlag{Name: "cisco-trust-level", Usage: "let the remote scanner count as `LEVEL`: full, advisory (blocks nothing by itself) or none"}),
			editSection("firewall", "change where programs may connect to", editFirewall,
				&cli.StringFlag{Name: "default-action", Usage: "`ACTION` for a destination that no list names: allow or deny"},
				&cli.StringSliceFlag{Name: "add-domain", Usage: "allow `HOST`, and the hosts below it; repeat the flag, or separate several by commas"},
				&cli.StringSliceFlag{Name: "remove-domain", Usage: "no longer allow `HOST` by name"},
				&cli.StringSliceFlag{Name: "add-blocked", Usage: "block `HOST`: a name, an address or a CIDR block"},
				&cli.StringSliceFlag{Name: "remove-blocked", Usage: "no longer block `HOST`"},
				&cli.StringSliceFlag{Name: "add-port", Usage: "allow `PORT`; where no port is named, all are allowed, so the first one shuts the others"},
				&cli.StringSliceFlag{Name: "remove-port", Usage: "no longer allow `PORT`; the last one cannot be removed"}),
		},
		HideHelpCommand: true,
		OnUsageError:    usageExit,
		Action:          needsCommand,
	}
}

// editSection is one command of policy edit. What edits returns as an error is one of usage.
func editSection(name, usage string, edits func(*cli.Context) ([]preset.Edit, error), flags ...cli.Flag) *cli.Command {
	return &cli.Command{
		Name: name,
		Usage: usage + ". The directory is checked before, a copy of the file is kept, and a running sidecar serves the edit at once. " +
			"Exits with 2 for a value that cannot be",
		Flags: append(append(settingFlags("policy-dir", "data-dir", "overlays"), flags...),
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would change, and write nothing"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"}),
		OnUsageError: usageExit,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return &exitError{exitUsage, err}
			}
			list, err := edits(c)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			if len(list) == 0 {
				return &exitError{exitUsage, fmt.Errorf("nothing to change: expected at least one of %s", flagNames(flags))}
			}
			return edit(c, list)
		},
	}
}

func edit(c *cli.Context, list []preset.Edit) error {
	s, err := resolve(c)
	if err != nil {
		return err
	}
	sayServed(c, s)
	if s.PolicyDir == "" {
		return errEmbedded
	}
	const what = "the edit"
	done, err := editData(c, s, what, func(data []byte) ([]byte, []preset.Change, error) {
		edited, changes, err := preset.Apply(data, list...)
		if err == nil {
			err = opensAllPorts(changes)
		}
		return edited, changes, err
	})
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return report.JSON(c.App.Writer, done)
	}
	done.write(c, what)
	return nil
}

func flagNames(flags []cli.Flag) string {
	var names []string
	for _, f := range flags {
		names = append(names, "--"+f.Names()[0])
	}
	return strings.Join(names, ", ")
}

// word returns what the value of a flag stands for, in any case; empty if the flag is not there. The words are in pairs: one as
// it is written, and what it stands for.
func word(c *cli.Context, flag string, pairs ...string) (string, error) {
	if !c.IsSet(flag) {
		return "", nil
	}
	given := strings.TrimSpace(c.String(flag))
	var words []string
	for pair := range slices.Chunk(pairs, 2) {
		if strings.EqualFold(pair[0], given) {
			return pair[1], nil
		}
		words = append(words, pair[0])
	}
	return "", fmt.Errorf("--%s is %q: %s was expected", flag, c.String(flag), choice(words))
}

// choice is a list as a sentence has it: a, b or c.
func choice(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

package cli

import (
	"errors"
	"strings"

	"defenseclaw/cmd/internal/preset"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func activateCommand() *cli.Command {
	return &cli.Command{
		Name: "activate",
		Usage: "write a policy of policy list into data.json of the policy directory, after a check, and keep a copy of the file; " +
			"a running sidecar serves it at once",
		ArgsUsage: "NAME",
		Flags: append(settingFlags("policy-dir", "data-dir", "overlays"),
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would change, and write nothing"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		),
		OnUsageError: usageError,
		Action:       activate,
	}
}

// activation is what policy activate did, or would do.
type activation struct {
	Policy string `json:"policy"`
	dataEdit
	NotApplied []string `json:"not_applied,omitempty"` // keys of the policy that are not data
}

func activate(c *cli.Context) error {
	if c.NArg() != 1 {
		return errors.New("expected the name of one policy after the flags; policy list has them")
	}
	s, err := resolve(c)
	if err != nil {
		return err
	}
	sayServed(c, s)
	if s.PolicyDir == "" {
		return errEmbedded
	}
	policy, err := preset.Find(s.PolicyDir, c.Args().First())
	if err != nil {
		return err
	}
	what := "policy " + policy.Name
	edit, err := editData(c, s, what, policy.Apply)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return report.JSON(c.App.Writer, activation{policy.Name, edit, policy.NotApplied})
	}
	edit.write(c, what)
	if len(policy.NotApplied) > 0 {
		terminal.Fprintf(c.App.ErrWriter, "these keys of the policy are no data, and are not applied: %s\n", strings.Join(policy.NotApplied, ", "))
	}
	return nil
}

package cli

import (
	"encoding/json"
	"path/filepath"

	"defenseclaw/cmd/internal/preset"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/source"

	"github.com/urfave/cli/v2"
)

func policiesCommand() *cli.Command {
	return &cli.Command{
		Name:         "list",
		Usage:        "list the policies that policy activate can apply: those built in, and the files NAME.yaml of the policy directory",
		Flags:        append(settingFlags("policy-dir", "data-dir", "overlays"), &cli.BoolFlag{Name: "json", Usage: "print JSON"}),
		OnUsageError: usageError,
		Action:       listPolicies,
	}
}

// listedPolicy is one policy in the output of policy list.
type listedPolicy struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	File        string `json:"file,omitempty"` // left out: built in
	Active      bool   `json:"active"`         // the data of the policy directory has its name
}

func listPolicies(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	s, err := resolve(c)
	if err != nil {
		return err
	}
	sayServed(c, s)
	all, err := preset.List(presetDir(s))
	if err != nil {
		return err
	}
	active := ""
	if s.PolicyDir != "" {
		if data, err := readData(c.Context, s.PolicyDir, source.Config{Overlays: s.Overlays}); err == nil {
			active = policyName(data.text)
		}
	}
	listed := make([]listedPolicy, 0, len(all))
	for _, p := range all {
		listed = append(listed, listedPolicy{p.Name, p.Description, p.File, p.Name == active})
	}
	if c.Bool("json") {
		return report.JSON(c.App.Writer, listed)
	}
	for _, p := range listed {
		mark, from := " ", "built in"
		if p.Active {
			mark = "*"
		}
		if p.File != "" {
			from = p.File
		}
		terminal.Fprintf(c.App.Writer, "%s %-12s %s (%s)\n", mark, p.Name, p.Description, from)
	}
	return nil
}

// presetDir is where the files NAME.yaml of a home are: in the policy directory, and where the embedded pack serves, in the
// folder of the data directory that would be it.
func presetDir(s settings.Settings) string {
	if s.PolicyDir != "" {
		return s.PolicyDir
	}
	return filepath.Join(s.DataDir, "policies")
}

// policyName is the name that the data gives itself; empty if it gives none.
func policyName(data []byte) string {
	var named struct {
		Config struct {
			Name string `json:"policy_name"`
		} `json:"config"`
	}
	if json.Unmarshal(data, &named) != nil {
		return ""
	}
	return named.Config.Name
}

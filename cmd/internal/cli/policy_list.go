package cli

import (
	"context"
	"encoding/json"
	"path"

	"defenseclaw/cmd/internal/preset"
	"defenseclaw/cmd/internal/report"
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
	sayWhich(c, s)
	all, err := preset.List(s.PolicyDir)
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

// policyData is the data.json of a policy directory, and the reading that it is from.
type policyData struct {
	file    string // relative to the directory, with slashes
	text    []byte // nil: there is no such file
	reading *source.Reading
}

func readData(ctx context.Context, dir string, cfg source.Config) (policyData, error) {
	src, err := source.Open(dir, cfg)
	if err != nil {
		return policyData{}, err
	}
	defer src.Close() //nolint:errcheck // it was only read
	reading, err := source.Read(ctx, src, source.Options{})
	if err != nil {
		return policyData{}, err
	}
	data := policyData{file: path.Join(reading.Root(), "data.json"), reading: reading}
	if data.text = reading.Source(data.file); data.text == nil { // modules beside a folder rego with the data
		if nested := path.Join(reading.Root(), "rego", "data.json"); reading.Source(nested) != nil {
			data.file, data.text = nested, reading.Source(nested)
		}
	}
	return data, nil
}

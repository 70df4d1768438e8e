package cli

import (
	"errors"

	"defenseclaw/cmd/internal/preset"

	"github.com/urfave/cli/v2"
)

func severityFlag() cli.Flag {
	return &cli.StringFlag{Name: "severity", Aliases: []string{"s"}, Usage: "for findings of `SEVERITY`: CRITICAL, HIGH, MEDIUM, LOW or INFO"}
}

func runtimeFlag() cli.Flag {
	return &cli.StringFlag{Name: "runtime", Usage: "`ACTION` at run time: block or allow (disable and enable mean the same)"}
}

func fileFlag() cli.Flag {
	return &cli.StringFlag{Name: "file", Usage: "`ACTION` for its files: quarantine or none"}
}

func installFlag() cli.Flag {
	return &cli.StringFlag{Name: "install", Usage: "`ACTION` at the installation: block, allow or none"}
}

func editActions(c *cli.Context) ([]preset.Edit, error) {
	severity, err := severityOf(c)
	if err != nil {
		return nil, err
	}
	fields, err := actionOf(c)
	if err != nil || len(fields) == 0 {
		return nil, err
	}
	return []preset.Edit{actionEdit(fields, "actions", severity)}, nil
}

func editScanner(c *cli.Context) ([]preset.Edit, error) {
	target, err := word(c, "type", "skill", "skill", "mcp", "mcp", "plugin", "plugin")
	if err != nil {
		return nil, err
	}
	if target == "" {
		return nil, errors.New("--type was expected: skill, mcp or plugin")
	}
	severity, err := severityOf(c)
	if err != nil {
		return nil, err
	}
	fields, err := actionOf(c)
	path := []string{"scanner_overrides", target, severity}
	switch {
	case err != nil:
		return nil, err
	case c.Bool("remove") && len(fields) > 0:
		return nil, errors.New("--remove takes the whole entry: --runtime, --file and --install were not expected with it")
	case c.Bool("remove"):
		return []preset.Edit{preset.Remove(path...)}, nil
	case len(fields) == 0:
		return nil, nil
	}
	return []preset.Edit{actionEdit(fields, path...)}, nil
}

// actionEdit wants a new entry whole. The original's rules take an entry without runtime for one that allows it, and do not look at
// the severity's own actions for what an entry of a scanner leaves out.
func actionEdit(fields map[string]string, path ...string) preset.Edit {
	return preset.Merge(fields, []string{"runtime", "file", "install"}, path...)
}

func severityOf(c *cli.Context) (string, error) {
	severity, err := word(c, "severity", "CRITICAL", "CRITICAL", "HIGH", "HIGH", "MEDIUM", "MEDIUM", "LOW", "LOW", "INFO", "INFO")
	if err == nil && severity == "" {
		err = errors.New("--severity was expected: CRITICAL, HIGH, MEDIUM, LOW or INFO")
	}
	return severity, err
}

// actionOf are the actions that the flags name.
func actionOf(c *cli.Context) (map[string]string, error) {
	fields := map[string]string{}
	for _, of := range []struct {
		flag  string
		words []string
	}{
		{"runtime", []string{"block", "block", "allow", "allow", "disable", "block", "enable", "allow"}},
		{"file", []string{"quarantine", "quarantine", "none", "none"}},
		{"install", []string{"block", "block", "allow", "allow", "none", "none"}},
	} {
		value, err := word(c, of.flag, of.words...)
		if err != nil {
			return nil, err
		}
		if value != "" {
			fields[of.flag] = value
		}
	}
	return fields, nil
}

package cli

import (
	"errors"
	"strings"
	"text/tabwriter"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func configCommand() *cli.Command {
	return &cli.Command{
		Name:            "config",
		Usage:           "check and show the settings that serve would use",
		Subcommands:     []*cli.Command{configCheckCommand(), configShowCommand()},
		HideHelpCommand: true,
		OnUsageError:    usageError,
		Action:          needsCommand,
	}
}

func configCheckCommand() *cli.Command {
	return &cli.Command{
		Name: "check",
		Usage: "read flags, environment and config.yaml as serve does, and print everything that would end its start; starts and changes nothing. " +
			"Exits with 0 if there is nothing, 1 otherwise",
		Flags:        append(settingFlags(), &cli.BoolFlag{Name: "json", Usage: "print JSON"}),
		Action:       configCheck,
		OnUsageError: usageError,
	}
}

// configChecked is the JSON of config check.
type configChecked struct {
	File     string             `json:"file"`
	OK       bool               `json:"ok"`
	Problems []string           `json:"problems"`
	Given    []settings.InForce `json:"given"` // what is not the default
	Foreign  []settings.Foreign `json:"foreign"`
}

func configCheck(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	snapshot, err := reader(flagValues(c)).Read()
	if err == nil {
		err = sidecar.Check(snapshot.Settings)
	}
	result := configChecked{
		File: snapshot.Settings.ConfigFile(), OK: err == nil, Problems: problems(err), Given: given(snapshot), Foreign: snapshot.Foreign(),
	}
	if result.Foreign == nil {
		result.Foreign = []settings.Foreign{}
	}
	if c.Bool("json") {
		if err := report.JSON(c.App.Writer, result); err != nil {
			return err
		}
	} else {
		printConfigCheck(c, result)
	}
	if !result.OK {
		return &exitError{code: exitFailure}
	}
	return nil
}

func printConfigCheck(c *cli.Context, r configChecked) {
	for _, text := range r.Problems {
		terminal.Fprintf(c.App.Writer, "wrong: %s\n", text)
	}
	for _, f := range r.Foreign {
		terminal.Fprintf(c.App.Writer, "ignored: %s, %s\n", f.Name, f.Whose)
	}
	if r.OK {
		terminal.Fprintf(c.App.Writer, "sound: %s; settings that are not the default: %d\n", r.File, len(r.Given))
	}
}

// problems are the errors that err joins, each once.
func problems(err error) []string {
	all := []string{}
	for _, one := range flattened(err) {
		all = append(all, one.Error())
	}
	return all
}

func flattened(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, flattened(one)...)
	}
	return all
}

func given(s *settings.Snapshot) []settings.InForce {
	all := []settings.InForce{}
	for _, one := range s.All() {
		if one.Source != settings.SourceDefault {
			all = append(all, one)
		}
	}
	return all
}

func configShowCommand() *cli.Command {
	return &cli.Command{
		Name:  "show",
		Usage: "print the settings that serve would use, and where each is from: a flag, a variable, a line of config.yaml, or the default; secrets are masked",
		Flags: append(settingFlags(), &cli.BoolFlag{Name: "given", Usage: "only those that are not the default"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"}),
		Action:       configShow,
		OnUsageError: usageError,
	}
}

// configShown is the JSON of config show.
type configShown struct {
	File        string             `json:"file"`
	PolicyDir   string             `json:"policy_dir"` // that serves; empty: a source, or the embedded pack
	PolicyWhy   string             `json:"policy_why"`
	TokenSource string             `json:"token_source"` // empty: the first start makes one
	Settings    []settings.InForce `json:"settings"`
}

func configShow(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	snapshot, err := reader(flagValues(c)).Read()
	unread, usable := snapshot.Unread()
	if err != nil && !usable {
		return err
	}
	for _, one := range unread {
		terminal.Fprintf(c.App.ErrWriter, "%s %s\n", terminal.Look.Of("warning:"), one.Error())
	}
	s := snapshot.Settings
	shown := configShown{File: s.ConfigFile(), PolicyDir: s.PolicyDir, PolicyWhy: s.PolicyWhy, Settings: snapshot.All()}
	if _, _, err := s.Token(); err == nil {
		shown.TokenSource = s.TokenSource()
	} else if !errors.Is(err, settings.ErrNoToken) {
		return err
	}
	if c.Bool("given") {
		shown.Settings = given(snapshot)
	}
	if c.Bool("json") {
		return report.JSON(c.App.Writer, shown)
	}
	terminal.Fprintf(c.App.Writer, "# policy: %s (%s)\n", orWord(s.PolicyDir, "the embedded pack or a source"), s.PolicyWhy)
	terminal.Fprintf(c.App.Writer, "# token: from %s\n", orWord(shown.TokenSource, "nowhere yet: the first start makes one"))
	table := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	for _, one := range shown.Settings {
		value := one.Value
		if value == "" || strings.ContainsAny(value, " \t\n") {
			value = terminal.Sprintf("%q", value)
		}
		terminal.Fprintf(table, "%s\t%s\t%s\n", one.Name(), value, one.Source)
	}
	return table.Flush()
}

func orWord(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

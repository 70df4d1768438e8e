package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"

	"github.com/urfave/cli/v2"
)

// Exit codes other than 0.
const (
	exitFailure = 1 // the command failed, or its answer is no
	exitStale   = 3 // policy status: what serves is not what the directory holds
	exitFound   = 4 // policy review: there are findings
)

// exitError is an error with an exit code of its own. If err is nil, Main prints nothing: the command has
// printed the reason.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// settingFlags makes the flags of the settings with these names, or of all settings. The flags have no
// defaults of their own: settings.Resolve applies them after it has looked at every source.
func settingFlags(names ...string) []cli.Flag {
	var flags []cli.Flag
	for _, s := range settings.Table() {
		if s.Flag == "" || len(names) > 0 && !slices.Contains(names, s.Flag) {
			continue
		}
		usage := s.Help
		if s.Env != "" {
			usage += " [$" + s.Env + "]"
		}
		if s.Default != "" {
			usage += " (default: " + s.Default + ")"
		}
		if s.IsBool() {
			flags = append(flags, &boolSetting{BoolFlag: &cli.BoolFlag{Name: s.Flag, Usage: usage}, names: []string{s.Flag}})
		} else {
			flags = append(flags, &textSetting{StringFlag: &cli.StringFlag{Name: s.Flag, Usage: usage}, names: []string{s.Flag}})
		}
	}
	return flags
}

// A textSetting and a boolSetting know their names. The flags that they hold find them with a regular expression each time,
// and urfave/cli asks every flag of a command for every other one: a start asked 12,000 times, for 2.7 ms.
type textSetting struct {
	*cli.StringFlag
	names []string
}

func (f *textSetting) Names() []string { return f.names }

type boolSetting struct {
	*cli.BoolFlag
	names []string
}

func (f *boolSetting) Names() []string { return f.names }

// boolFlag returns the flag without a value that f is; nil for others.
func boolFlag(f cli.Flag) *cli.BoolFlag {
	switch f := f.(type) {
	case *cli.BoolFlag:
		return f
	case *boolSetting:
		return f.BoolFlag
	default:
		return nil
	}
}

// clientFlags are the settings by which a command finds the running sidecar.
func clientFlags() []cli.Flag {
	return settingFlags("data-dir", "api-bind", "api-port", "api-socket", "local-socket", "any-listener", "tls-cert", "client-cert", "client-key")
}

// resolve finds the settings of a command: its own flags and those before its name, the environment
// and config.yaml.
//
// What nobody reads ends a start, and is a warning here: whoever wants to know what a sidecar does, or to roll back, must not have to
// correct a file first.
func resolve(c *cli.Context) (settings.Settings, error) {
	snapshot, err := reader(flagValues(c)).Read()
	if unread, usable := snapshot.Unread(); usable && len(unread) > 0 {
		for _, one := range unread {
			terminal.Fprintf(c.App.ErrWriter, "%s %s\n", terminal.Look.Of("warning:"), one.Error())
		}
		return snapshot.Settings, nil
	}
	return snapshot.Settings, err
}

// reader reads the settings of this process.
func reader(flag func(name string) (value string, given bool)) *settings.Reader {
	return settings.ForProcess(flag, fleetURL, fleetCreds, fleetCA, fleetDomain, fleetKey, fleetSourceKeys)
}

// flagValues looks up a flag among a command's own and those before its name.
func flagValues(c *cli.Context) func(name string) (value string, given bool) {
	return func(name string) (string, bool) {
		for _, ctx := range c.Lineage() {
			if ctx != nil && slices.Contains(ctx.LocalFlagNames(), name) {
				return fmt.Sprint(ctx.Value(name)), true
			}
		}
		return "", false
	}
}

// client returns a client of the running sidecar, with its token.
func client(c *cli.Context) (*api.Client, error) {
	s, err := resolve(c)
	if err != nil {
		return nil, err
	}
	token, explicit, err := s.Token()
	if err != nil && !errors.Is(err, settings.ErrNoToken) {
		return nil, err
	}
	at, err := s.Endpoint()
	if err != nil {
		return nil, err
	}
	return &api.Client{Addr: at.Addr, TLS: at.TLS, Token: token, Socket: at.Socket, TokenIsOptional: !explicit, AnyListener: s.AnyListener}, nil
}

// generation loads the policy that dirFlags and the argument DIR choose. It prints the problems of one that cannot be loaded.
func generation(c *cli.Context) (*engine.Generation, error) {
	return generationOf(c, c.Args().Slice()...)
}

// generationOf is [generation] for commands that have other arguments, too; args are those that name a directory.
func generationOf(c *cli.Context, args ...string) (*engine.Generation, error) {
	_, g, err := placedGeneration(c, args...)
	return g, err
}

// placedGeneration is [generationOf] with what the policy is called, for [placeIn].
func placedGeneration(c *cli.Context, args ...string) (dir string, g *engine.Generation, err error) {
	dir, src, err := openSource(c, args...)
	if err != nil {
		return dir, nil, err
	}
	g, err = generationIn(c, dir, src, placeIn(dir))
	return dir, g, err
}

// generationIn loads a source, and prints the problems of one that cannot be loaded; dir is what it is called, and place says so of
// its files.
func generationIn(c *cli.Context, dir string, src fs.FS, place func(file string) string) (*engine.Generation, error) {
	g, err := engine.Load(c.Context, src, nil)
	if refused := new(engine.Refused); errors.As(err, &refused) && len(refused.Diagnostics) > 0 {
		report.Write(c.App.ErrWriter, report.Placed(refused.Diagnostics, place))
		return nil, drawnApart(dir, err, true)
	}
	return g, err
}

// shownError is the error of a policy whose problems were printed.
type shownError struct {
	text    string
	refused *engine.Refused
}

func (e *shownError) Error() string { return e.text }

func (e *shownError) Unwrap() error { return e.refused }

// drawnApart is err, or where its problems are drawn apart, how many there are.
func drawnApart(dir string, err error, drawn bool) error {
	refused := new(engine.Refused)
	if !drawn || !errors.As(err, &refused) || len(refused.Diagnostics) == 0 {
		return err
	}
	return &shownError{dir + ": " + terminal.Count(len(refused.Diagnostics), "problem"), refused}
}

// received converts diagnostics from an answer of the sidecar.
func received(ds []api.Diagnostic) diagnostic.List {
	converted := make(diagnostic.List, len(ds))
	for i, d := range ds {
		converted[i] = diagnostic.Diagnostic(d)
	}
	return converted
}

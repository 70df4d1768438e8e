package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"defenseclaw/cmd/internal/pack"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/source"
	"defenseclaw/policies"

	"github.com/urfave/cli/v2"
)

// embeddedPack is the name of the embedded default pack, where others have a directory.
const embeddedPack = "(embedded)"

// regoDirFlag names the directory that a command reads, as its argument DIR does.
func regoDirFlag() cli.Flag {
	return &cli.StringFlag{Name: "rego-dir", Usage: "the same as the argument `DIR`"}
}

// dirFlags choose the policy of a command that does not need a running sidecar; see [choose].
func dirFlags() []cli.Flag {
	return append(settingFlags("policy-dir", "data-dir", "overlays"), regoDirFlag(),
		&cli.BoolFlag{Name: "embedded", Usage: "use the default pack in the program"})
}

// noPolicy says what somebody can do who names no policy where there is none.
type noPolicy struct{ where string }

func (e *noPolicy) Error() string { return e.where }

// chosen is the policy that a command works on.
type chosen struct {
	dir      string // empty: the embedded pack
	why      string // a phrase; empty where the command line names it
	settings settings.Settings
}

// choose finds the policy of a command: what its line names, else what DEFENSECLAW_POLICY_DIR names, else that of the working
// directory, else that of the other settings. args are its arguments that name a directory. The embedded pack is chosen
// only where the line asks for it. The error is a [*noPolicy] where there is none.
func choose(c *cli.Context, args []string) (chosen, error) {
	named, err := namedDirectory(c, args)
	if err != nil {
		return chosen{}, err
	}
	s, wrong := resolve(c)
	found := chosen{settings: s}
	if wrong != nil && (named == "" && !c.Bool("embedded") || c.IsSet("overlays")) {
		return found, wrong // a policy that is named needs no other setting
	}
	byFlag := wrong == nil && s.PolicyNamedBy() == "--policy-dir"
	switch {
	case c.Bool("embedded") && (named != "" || byFlag && s.PolicyDir != ""):
		return found, errors.New("a directory and --embedded are named: expected one of them")
	case c.Bool("embedded"):
		return found, nil
	case named != "" && byFlag && !sameDirectory(named, s.PolicyDir):
		return found, fmt.Errorf("%s and --policy-dir %s are both named: expected one directory", named, s.PolicyDir)
	case named != "":
		found.dir = named
		noteRoots(c, named)
		return found, nil
	case byFlag && s.PolicyDir == "":
		found.why = s.PolicyWhy
		return found, nil
	case byFlag:
		found.dir = s.PolicyDir
		return found, nil
	case s.PolicyNamedBy() == settings.PolicyDirVariable && s.PolicyDir != "":
		found.dir, found.why = s.PolicyDir, s.PolicyWhy
		return found, nil
	}
	return orHere(found)
}

// orHere chooses the policy of the working directory, else that of the settings.
func orHere(found chosen) (chosen, error) {
	here, err := pack.Find(".")
	switch {
	case err == nil:
		found.dir, found.why = here.Dir, here.Why
		return found, nil
	case !errors.Is(err, pack.ErrNone):
		return found, err
	case found.settings.PolicyDir != "":
		found.dir, found.why = found.settings.PolicyDir, found.settings.PolicyWhy
		return found, nil
	}
	where := "there is no policy in the working directory, and " + found.settings.PolicyWhy
	if found.settings.PolicyFrom == settings.PolicySourced {
		where = "there is no policy in the working directory, and the sidecar's policy is no directory"
	}
	dirs := "name a directory"
	if below := pack.Below("."); len(below) > 0 {
		dirs += fmt.Sprintf(" (%s)", strings.Join(below, ", "))
	}
	return found, &noPolicy{where + ": " + dirs + ", or the default pack in the program with --embedded"}
}

// namedDirectory is the directory that a command line names, by args or by --rego-dir; empty if it names none.
func namedDirectory(c *cli.Context, args []string) (string, error) {
	flag := c.String("rego-dir")
	switch {
	case len(args) > 1:
		return "", &exitError{exitUsage, fmt.Errorf("unexpected argument %q: expected at most one directory", args[1])}
	case len(args) == 0 || args[0] == "":
		return flag, nil
	case flag != "" && !sameDirectory(args[0], flag):
		return "", &exitError{exitUsage, fmt.Errorf("%s and --rego-dir %s are both named: expected one directory", args[0], flag)}
	}
	return args[0], nil
}

// noteRoots tells somebody who names a project's folder that its policy is in another one. The line is still taken at its word,
// as a sidecar would take it.
func noteRoots(c *cli.Context, dir string) {
	roots := pack.Recorded(dir)
	if len(roots) == 0 || len(roots) == 1 && roots[0] == "." {
		return
	}
	for i, root := range roots {
		roots[i] = filepath.Join(dir, filepath.FromSlash(root))
	}
	terminal.Fprintf(c.App.ErrWriter, "%s %s says that policy has its root at %s\n", terminal.Look.Of("note:"), filepath.Join(dir, pack.HasConfig(dir)), strings.Join(roots, ", "))
}

// sayWhich names the policy that a command uses, and why, unless its line says so.
func (found chosen) sayWhich(c *cli.Context) {
	switch {
	case found.why == "":
	case found.dir == "":
		terminal.Fprintf(c.App.ErrWriter, "using the embedded default pack: %s\n", found.why)
	default:
		terminal.Fprintf(c.App.ErrWriter, "using %s: %s\n", found.dir, found.why)
	}
}

// sayServed names the policy that serve would use, and why, unless a flag says so.
func sayServed(c *cli.Context, s settings.Settings) {
	if s.PolicyWhy != "set by --policy-dir" {
		chosen{dir: s.PolicyDir, why: s.PolicyWhy}.sayWhich(c)
	}
}

// openSource opens the policy that dirFlags and args choose; args are arguments that name a directory. It stays open until the
// process exits.
func openSource(c *cli.Context, args ...string) (dir string, src fs.FS, err error) {
	found, err := choose(c, args)
	if err != nil {
		return "", nil, err
	}
	found.sayWhich(c)
	if found.dir == "" {
		return embeddedPack, policies.FS(), nil
	}
	opened, err := source.Open(found.dir, source.Config{Overlays: found.settings.Overlays})
	if err != nil {
		return found.dir, nil, err
	}
	return found.dir, opened, nil
}

// pathsHere are the files and directories that a command names, or else the policy of the working directory, or else that
// directory. A command that changes files never reaches for those that serve.
func pathsHere(c *cli.Context) ([]string, error) {
	paths := c.Args().Slice()
	if dir := c.String("rego-dir"); dir != "" {
		if len(paths) > 0 && (len(paths) > 1 || !sameDirectory(paths[0], dir)) {
			return nil, fmt.Errorf("%s and --rego-dir %s are both named: expected one of them", paths[0], dir)
		}
		return []string{dir}, nil
	}
	if len(paths) > 0 {
		return paths, nil
	}
	here, err := pack.Find(".")
	if err != nil || here.Dir == "." {
		return []string{"."}, nil //nolint:nilerr // without a policy, or with several, the working directory is meant
	}
	chosen{dir: here.Dir, why: here.Why}.sayWhich(c)
	return []string{here.Dir}, nil
}

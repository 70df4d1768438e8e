package cli

import (
	"cmp"
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"defenseclaw/cmd/internal/pack"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

// starter holds the files that init writes. In their names, dot_ replaces the leading dot, since go:embed
// leaves such names out.
//
//go:embed starter
var starter embed.FS

func initCommand() *cli.Command {
	return &cli.Command{
		Name:      "init",
		Usage:     "write a starter policy with a test, data, an input, an editor task, a dev container, pre-commit and CI files; overwrites nothing",
		ArgsUsage: "[DIR]",
		Flags: []cli.Flag{regoDirFlag(), &cli.BoolFlag{
			Name: "guards", Usage: "write only guards of changes, with their tests, into the policy directory DIR: rules that judge each change of it",
		}},
		Action:       initPack,
		OnUsageError: usageError,
	}
}

func initPack(c *cli.Context) error {
	dir, err := namedDirectory(c, c.Args().Slice())
	if err != nil {
		return err
	}
	if c.Bool("guards") {
		if here, err := pack.Find("."); dir == "" && err == nil {
			dir = here.Dir
		}
		return initGuards(c, cmp.Or(dir, "."))
	}
	dir = cmp.Or(dir, ".")
	hadConfig := pack.HasConfig(dir)
	if err := writePack(c, starter, "starter", dir); err != nil {
		return err
	}
	if hadConfig != "" && len(pack.Recorded(dir)) == 0 {
		terminal.Fprintf(c.App.Writer, "note     %s records no root of policy: add project: {roots: [policy]}\n", filepath.Join(dir, hadConfig))
	}
	terminal.Fprintf(c.App.Writer, "\nNext:    defenseclaw policy dev %s\n", filepath.Join(dir, "policy"))
	return nil
}

// writePack writes the files below root into dir, without those that exist.
func writePack(c *cli.Context, files fs.FS, root, dir string) error {
	files, err := fs.Sub(files, root)
	if err != nil {
		return err
	}
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if name == "dot_devcontainer" {
			for _, own := range []string{".devcontainer.json", ".devcontainer"} {
				if _, err := os.Lstat(filepath.Join(dir, own)); err == nil {
					terminal.Fprintf(c.App.Writer, "kept     %s (exists)\n", filepath.Join(dir, own))
					return fs.SkipDir // the files of two dev containers do not go together
				}
			}
		}
		if err != nil || d.IsDir() {
			return err
		}
		if name == "dot_regal.yaml" && pack.HasConfig(dir) != "" {
			return nil // Regal reads one configuration
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return writeOne(c, filepath.Join(dir, filepath.FromSlash(strings.ReplaceAll(name, "dot_", "."))), text)
	})
}

// writeOne writes a file and says so, or that there is one.
func writeOne(c *cli.Context, path string, text []byte) error {
	err := writeNew(path, text)
	if errors.Is(err, fs.ErrExist) {
		terminal.Fprintf(c.App.Writer, "kept     %s (exists)\n", path)
		return nil
	}
	if err == nil {
		terminal.Fprintf(c.App.Writer, "wrote    %s\n", path)
	}
	return err
}

func writeNew(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a project's folder is for its readers
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // so is a file of it
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

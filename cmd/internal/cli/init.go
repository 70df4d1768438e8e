package cli

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
)

// starter is what init writes; dot_ stands for the dot with which go:embed would leave a name out.
//
//go:embed starter
var starter embed.FS

func initCommand() *cli.Command {
	return &cli.Command{
		Name:         "init",
		Usage:        "write a policy to start from, with its test, data, input, editor task, pre-commit and CI; overwrites nothing",
		ArgsUsage:    "[DIR]",
		Action:       initPack,
		OnUsageError: usageError,
	}
}

func initPack(c *cli.Context) error {
	if c.NArg() > 1 {
		return errors.New("one directory is expected at most")
	}
	dir := "."
	if c.NArg() == 1 {
		dir = c.Args().First()
	}
	pack, err := fs.Sub(starter, "starter")
	if err != nil {
		return err
	}
	err = fs.WalkDir(pack, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(pack, name)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(strings.ReplaceAll(name, "dot_", ".")))
		err = writeNew(path, text)
		if errors.Is(err, fs.ErrExist) {
			fmt.Fprintf(c.App.Writer, "kept     %s, which was there\n", path)
			return nil
		}
		if err == nil {
			fmt.Fprintf(c.App.Writer, "wrote    %s\n", path)
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.App.Writer, "\nNext:    defenseclaw policy dev %s\n", filepath.Join(dir, "policy"))
	return nil
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

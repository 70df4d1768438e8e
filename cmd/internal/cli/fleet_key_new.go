package cli

import (
	"errors"
	"fmt"
	"os"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/private"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/watcher/fleet/record"

	"github.com/urfave/cli/v2"
)

func fleetKeyNewCommand() *cli.Command {
	return &cli.Command{
		Name:      "new",
		Usage:     "make a private key, and print the line by which agents trust it: a release key signs what agents may serve, a stage key moves a channel between releases",
		ArgsUsage: "NAME",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "role", Value: string(record.RoleRelease), Usage: "release or stage: what the key is for, `ROLE`"},
			&cli.StringFlag{Name: "out", Usage: "write the private key to `FILE`, which must not exist; only its owner can read it"},
		},
		OnUsageError: usageExit,
		Action: func(c *cli.Context) error {
			names := c.Args().Slice()
			if len(names) != 1 || c.String("out") == "" {
				return &exitError{exitUsage, errors.New("a name and a file were expected: fleet key new NAME --role release --out FILE")}
			}
			secret, verifier, err := fleet.NewKey(names[0], record.Role(c.String("role")))
			if err != nil {
				return &exitError{exitUsage, err}
			}
			if err := newPrivate(c.String("out"), secret); err != nil {
				return err
			}
			_, err = terminal.Fprintf(c.App.Writer, "%s\n", verifier)
			return err
		},
	}
}

// newPrivate writes a file that only its owner can read, and never one that is there.
func newPrivate(file string, text []byte) error {
	const ownerOnly = 0o600
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, ownerOnly)
	if err != nil {
		return fmt.Errorf("a new file was expected: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	return private.Write(file, text)
}

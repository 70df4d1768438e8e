package cli

import (
	"errors"
	"path/filepath"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/fleet/access"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func fleetUserCommand() *cli.Command {
	return &cli.Command{
		Name: "user",
		Usage: "make a user of the broker: writes its credentials, adds it to the users of fleet server, " +
			"and prints it for the configuration of a NATS server",
		ArgsUsage: "NAME",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "role", Value: string(access.Agent), Usage: "agent, publisher, controller or observer: what the user may do, `ROLE`"},
			&cli.StringFlag{Name: "channel", Aliases: []string{"C"}, Usage: "the `CHANNEL` that the agent follows"},
			&cli.StringFlag{Name: "out", Usage: "write the credentials to `FILE`, which must not exist; only its owner can read it"},
			&cli.StringFlag{Name: "store", Usage: "add the user to those of the fleet server with this `DIR`"},
			&cli.StringFlag{Name: "domain", Usage: "`NAME` of the JetStream domain, for the rules that it prints"},
		},
		OnUsageError: usageExit,
		Action: func(c *cli.Context) error {
			names := c.Args().Slice()
			if len(names) != 1 || c.String("out") == "" {
				return &exitError{exitUsage, errors.New("a name and a file were expected: fleet user NAME --role agent --channel CHANNEL --out FILE")}
			}
			u, seed, err := access.NewUser(access.User{Role: access.Role(c.String("role")), Name: names[0], Channel: c.String("channel")})
			if err != nil {
				return &exitError{exitUsage, err}
			}
			if err := newPrivate(c.String("out"), seed); err != nil {
				return err
			}
			if dir := c.String("store"); dir != "" {
				if err := access.AddUser(filepath.Join(dir, fleet.UsersFile), u); err != nil {
					return err
				}
			}
			_, err = terminal.Fprintf(c.App.Writer, "%s", terminal.Text(u.Block(c.String("domain"))))
			return err
		},
	}
}

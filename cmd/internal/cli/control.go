package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"defenseclaw/api"

	"github.com/urfave/cli/v2"
)

// orderFlags are those of every command that gives an order about the policy that serves.
func orderFlags(more ...cli.Flag) []cli.Flag {
	return append(append(clientFlags(), &cli.StringFlag{Name: "reason", Usage: "put `TEXT` on record as the reason"}), more...)
}

// orderTimeout bounds the wait for an order: it reads no more than one kept policy.
const orderTimeout = time.Minute

// giveOrder sends an order and prints the answer.
func giveOrder(c *cli.Context, order string, in api.ControlRequest) error {
	sidecar, err := client(c)
	if err != nil {
		return err
	}
	sidecar.Timeout, in.Reason = orderTimeout, c.String("reason")
	answer, err := sidecar.Order(c.Context, order, in)
	var refused *api.AnswerError
	if errors.As(err, &refused) {
		printIndented(c.App.Writer, refused.Body)
		return err
	}
	if err == nil {
		printIndented(c.App.Writer, answer)
	}
	return err
}

// optionalArgument returns the one argument that a command may have, and sets the flags that stand behind it: who types
// in a hurry does not think of their order.
func optionalArgument(c *cli.Context) (argument string, err error) {
	rest := c.Args().Slice()
	for len(rest) > 0 {
		next := rest[0]
		rest = rest[1:]
		name, isFlag := strings.CutPrefix(next, "-")
		if !isFlag {
			if argument != "" {
				return "", &exitError{exitUsage, fmt.Errorf("unexpected argument %q; see %s --help", next, c.App.Name)}
			}
			argument = next
			continue
		}
		name, value, given := strings.Cut(strings.TrimPrefix(name, "-"), "=")
		if !given {
			if value = "true"; !isBoolFlag(c, name) {
				if len(rest) == 0 {
					return "", &exitError{exitUsage, fmt.Errorf("flag needs an argument: -%s", name)}
				}
				value, rest = rest[0], rest[1:]
			}
		}
		if err := c.Set(name, value); err != nil {
			return "", &exitError{exitUsage, fmt.Errorf("--%s: %w", name, err)}
		}
	}
	return argument, nil
}

func isBoolFlag(c *cli.Context, name string) bool {
	for _, f := range c.Command.Flags {
		if boolFlag(f) != nil && f.Names()[0] == name {
			return true
		}
	}
	return false
}

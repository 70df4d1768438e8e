package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

// The exit codes of policy diff.
const (
	exitDifferent = 1
	exitCouldNot  = 2
)

func diffCommand() *cli.Command {
	flags := append(clientFlags(), settingFlags("policy-dir", "overlays")...)
	return &cli.Command{
		Name:      "diff",
		Usage:     "show what differs between two policies; exits with 0 if nothing does, 1 if something does, 2 if it could not tell",
		ArgsUsage: "[A [B]]",
		Description: "A and B are serving, disk, held, a policy that is kept, by its number or the first digits of its revision, or a directory. Without B it is disk, " +
			"and without A, too, it is serving. A directory is read by this command and never by the sidecar. " +
			"Where standard error is a terminal, what takes longer than a second says there how far it is.",
		Flags: append(append(flags, probeFlags()...),
			&cli.BoolFlag{Name: "stat", Usage: "show files, packages and counts"},
			&cli.BoolFlag{Name: "rules", Usage: "show rules, defaults, data, builtins, entry points and tests"},
			&cli.BoolFlag{Name: "text", Usage: "show the files as a unified diff"},
			&cli.BoolFlag{Name: "replay", Usage: "make recorded decisions again with B, and show those that it answers otherwise"},
			&cli.StringFlag{Name: "from", Usage: "replay the decision log `FILE`, plain or compressed by gzip; - is standard input (default: what the sidecar has recorded)"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON; with --text the unified diff is in it"},
		),
		Action: func(c *cli.Context) error {
			same, err := diff(c)
			switch {
			case err != nil:
				return &exitError{code: exitCouldNot, err: err}
			case !same:
				return &exitError{code: exitDifferent}
			default:
				return nil
			}
		},
		OnUsageError: usageError,
	}
}

func diff(c *cli.Context) (same bool, err error) {
	from, to := api.SideServing, api.SideDisk
	args := c.Args().Slice()
	switch len(args) {
	case 0:
	case 1:
		from = args[0]
	case 2:
		from, to = args[0], args[1]
	default:
		return false, fmt.Errorf("unexpected argument %q; at most two sides can be compared", args[2])
	}
	if c.String("from") != "" && !c.Bool("replay") {
		return false, errors.New("--from is for --replay")
	}
	if c.Bool("as-test") {
		return diffAsTest(c, from, to)
	}
	all := !c.Bool("stat") && !c.Bool("rules") && !c.Bool("text")
	withText := c.Bool("text") || all && !c.Bool("json")
	review, err := compare(c, from, to, withText)
	if err != nil {
		return false, err
	}
	if c.Bool("json") {
		return review.Same, report.JSON(c.App.Writer, review)
	}
	if all || c.Bool("stat") {
		printStat(c.App.Writer, review)
	}
	if all || c.Bool("rules") {
		printRules(c.App.Writer, review)
	}
	if withText && review.Text != "" {
		terminal.Fprintf(c.App.Writer, "%s", terminal.Diff(terminal.Text(review.Text)))
	}
	if review.Probe != nil {
		printProbe(c.App.Writer, review.Probe)
	}
	if review.Replay != nil {
		return review.Same, report.Replay{Version: version(), Replay: review.Replay.Replay()}.Write(c.App.Writer, "pretty")
	}
	return review.Same, nil
}

// compare asks the sidecar, unless a side is a directory: those are this command's own.
func compare(c *cli.Context, from, to string, withText bool) (*api.Review, error) {
	here := isDirectory(from) || isDirectory(to)
	if here && c.Bool("replay") && c.String("from") == "" {
		return nil, errors.New("--replay of a directory needs --from: the sidecar reads no directory but its own")
	}
	if probes(c) && c.Bool("replay") && c.String("from") == "" {
		return nil, errors.New("--probe with --replay needs --from: the search is made by this command, which has no recordings")
	}
	if here || probes(c) || c.String("from") != "" {
		return compareHere(c, from, to, withText)
	}
	sidecar, err := client(c)
	if err != nil {
		return nil, err
	}
	answer, err := during(c.Context, "load", func(ctx context.Context) (*api.Review, error) {
		return sidecar.Diff(ctx, from, to, withText)
	})
	if err == nil && c.Bool("replay") {
		var replay *api.ReplayAnswer
		if replay, err = askReplay(c, sidecar, from, to); err == nil {
			answer.Replay, answer.Incomplete = &replay.Replay, append(answer.Incomplete, replay.Incomplete...)
		}
	}
	return answer, printRefusal(c, sidecar, err)
}

// printRefusal prints what is wrong with a side that the sidecar cannot load, if that is the error, and returns an error that does
// not say it again.
func printRefusal(c *cli.Context, sidecar *api.Client, err error) error {
	var refused *api.AnswerError
	if errors.As(err, &refused) {
		var body api.ReloadAnswer
		if json.Unmarshal(refused.Body, &body) == nil && len(body.Diagnostics) > 0 {
			told := toldIn(servedDirectory(c, sidecar), received(body.Diagnostics))
			report.Write(c.App.ErrWriter, told)
			return &refusedAnswer{answer: refused, diagnostics: told}
		}
	}
	return err
}

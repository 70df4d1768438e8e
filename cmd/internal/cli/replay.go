package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/review/replay"

	"github.com/urfave/cli/v2"
)

// exitFlips is the exit code of policy replay when decisions flip.
const exitFlips = 4

func replayCommand() *cli.Command {
	flags := append(clientFlags(), settingFlags("policy-dir", "overlays")...)
	return &cli.Command{
		Name: "replay",
		Usage: "make recorded decisions again with another policy, and show those that it answers otherwise; exits with 0 if none is, " +
			"4 if some are, 2 if it could not tell",
		Description: "Without --from, the sidecar replays what it has recorded on the files of its policy directory. With --from no sidecar is needed: " +
			"the log is this program's decision log, or OPA's.",
		Flags: append(flags,
			&cli.StringFlag{Name: "from", Usage: "replay the decision log `FILE`, plain or compressed by gzip; - is standard input"},
			&cli.StringFlag{Name: "dir", Usage: "replay on the policy in `DIR` (default: the policy directory); with --from"},
			&cli.StringFlag{Name: "base", Usage: "compare with `BASE`: a directory, serving, disk, or a kept policy by its number or revision " +
				"(default: the recorded answers, or what serves)"},
			&cli.StringFlag{Name: "format", Value: "pretty", Usage: "print `FORMAT`: " + oneOf(append(report.ReplayFormats(), "json"))},
			&cli.BoolFlag{Name: "json", Usage: "print JSON, as --format json does"},
		),
		Action: func(c *cli.Context) error {
			r, err := replayed(c)
			switch {
			case err != nil:
				return &exitError{code: exitCouldNot, err: err}
			case r.Total() > 0:
				return &exitError{code: exitFlips}
			case r.Reached > 0 && r.Replayed == 0:
				return &exitError{code: exitCouldNot, err: fmt.Errorf("none of %d records could be replayed", r.Reached)}
			default:
				return nil
			}
		},
		OnUsageError: usageError,
	}
}

func replayed(c *cli.Context) (*review.Replay, error) {
	if err := noArguments(c); err != nil {
		return nil, err
	}
	format := c.String("format")
	if c.Bool("json") {
		format = "json"
	}
	if formats := append(report.ReplayFormats(), "json"); !slices.Contains(formats, format) {
		return nil, fmt.Errorf("--format is %q: expected %s", format, oneOf(formats))
	}
	ask := replayThere
	if c.String("from") != "" {
		ask = replayHere
	}
	answer, dir, err := ask(c)
	if err != nil {
		return nil, err
	}
	found := answer.Replay.Replay()
	if format == "json" {
		return found, report.JSON(c.App.Writer, answer)
	}
	return found, report.Replay{Dir: dir, Version: version(), Replay: found}.Write(c.App.Writer, format)
}

// replayThere asks the sidecar. dir is the directory whose files it replays on.
func replayThere(c *cli.Context) (_ *api.ReplayAnswer, dir string, err error) {
	base := cmp.Or(c.String("base"), api.SideServing)
	switch {
	case c.String("dir") != "":
		return nil, "", errors.New("--dir needs --from: the sidecar reads no directory but its own")
	case isDirectory(base):
		return nil, "", fmt.Errorf("--base %s needs --from: the sidecar reads no directory but its own", base)
	}
	sidecar, err := client(c)
	if err != nil {
		return nil, "", err
	}
	answer, err := askReplay(c, sidecar, base, api.SideDisk)
	if err != nil {
		return nil, "", printRefusal(c, sidecar, err)
	}
	for _, why := range answer.Incomplete {
		terminal.Fprintf(c.App.ErrWriter, "incomplete: %s\n", why)
	}
	status, err := sidecar.Status(c.Context)
	return answer, status.PolicyDir, err
}

// askReplay has a sidecar replay, and shows how far it is.
func askReplay(c *cli.Context, sidecar *api.Client, base, candidate string) (*api.ReplayAnswer, error) {
	return during(c.Context, "replay", func(ctx context.Context) (*api.ReplayAnswer, error) {
		return sidecar.Replay(ctx, base, candidate)
	})
}

// replayHere replays a log in this process.
func replayHere(c *cli.Context) (_ *api.ReplayAnswer, dir string, err error) {
	recs, err := logOf(c)
	if err != nil {
		return nil, "", err
	}
	to := c.String("dir")
	if to == "" {
		to = api.SideDisk
		if s, err := resolve(c); err == nil {
			dir = s.PolicyDir
		}
	} else if dir = to; !isDirectory(to) {
		return nil, "", fmt.Errorf("--dir %s: there is no such directory", to)
	}
	var base *engine.Generation
	if from := c.String("base"); from != "" {
		if base, err = openAndLoad(c, from, nil); err != nil {
			return nil, "", err
		}
	}
	candidate, err := openAndLoad(c, to, base)
	if err != nil {
		return nil, "", err
	}
	found, err := runReplay(c, base, candidate, recs, replay.Options{})
	if err != nil {
		return nil, "", err
	}
	answer := &api.ReplayAnswer{Replay: *api.ReplayOf(found), Incomplete: []string{}, Candidate: api.ReviewSide{Name: to, Revision: candidate.Revision()}}
	answer.Candidate.Modules, _ = candidate.Counts()
	if base != nil {
		answer.Base = &api.ReviewSide{Name: c.String("base"), Revision: base.Revision()}
		answer.Base.Modules, _ = base.Counts()
	}
	return answer, dir, c.Err()
}

// runReplay replays in this process, and shows how far it is.
func runReplay(c *cli.Context, base, candidate *engine.Generation, recs []records.Record, o replay.Options) (*review.Replay, error) {
	return during(c.Context, "replay", func(ctx context.Context) (*review.Replay, error) {
		return replay.Run(ctx, base, candidate, recs, o)
	})
}

func openAndLoad(c *cli.Context, side string, previous *engine.Generation) (*engine.Generation, error) {
	src, err := openSide(c, side)
	if err != nil {
		return nil, err
	}
	return loadSide(c, side, src, previous)
}

// A log of more than these is thinned as the recorder thins what it sees.
const (
	maxLogRecords = 50_000
	maxLogBytes   = 256 << 20
)

// logOf reads the log of --from. A log without a decision is an error: nothing would be known of the change.
func logOf(c *cli.Context) ([]records.Record, error) {
	name := c.String("from")
	in := io.Reader(os.Stdin)
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close() //nolint:errcheck // it was only read
		in = file
	}
	found, err := readLog(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: there is no decision in it: expected a decision log, of this program or of OPA", name)
	}
	return found, nil
}

func readLog(in io.Reader) (all []records.Record, err error) {
	var thinned *records.Store
	bytes := 0
	for r, err := range records.Scan(in) {
		switch {
		case errors.As(err, new(*records.Skipped)):
			continue
		case err != nil:
			return nil, err
		case thinned != nil:
			thinned.Add(r)
			continue
		}
		all = append(all, r)
		if bytes += r.Bytes(); len(all) > maxLogRecords || bytes > maxLogBytes {
			// The same log is thinned in the same way each time.
			thinned = records.NewStore(records.Bounds{Records: maxLogRecords, Bytes: maxLogBytes}, rand.New(rand.NewPCG(1, 1))) //nolint:gosec // no secret
			for _, r := range all {
				thinned.Add(r)
			}
			all = nil
		}
	}
	if thinned != nil {
		all = thinned.Snapshot().Records
	}
	return all, nil
}

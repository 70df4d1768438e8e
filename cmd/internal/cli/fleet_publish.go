package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strings"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/cmd/internal/testrun"
	"defenseclaw/engine"
	"defenseclaw/engine/source"
	"defenseclaw/watcher/fleet/record"

	"github.com/urfave/cli/v2"
)

func fleetPublishCommand() *cli.Command {
	return &cli.Command{
		Name: "publish",
		Usage: "check and test a policy directory, and have the agents of a channel serve it; exits with 0 if that is done, 1 if the policy is refused " +
			"here and nothing was sent, 3 if agents refuse it, are lost, or a rollout was taken back, 4 if somebody else was first, 5 if time ran out, 6 if no broker answers",
		ArgsUsage: "[DIR]",
		Flags: fleetFlags(append(append(append(keyFlags(), settingFlags("policy-dir", "data-dir", "overlays")...),
			regoDirFlag(), channelFlag(), messageFlag(), byFlag(),
			&cli.StringFlag{Name: "selector", Usage: "only agents with all of these `LABELS`, NAME=VALUE with commas between them, get it; the others stay where they are"},
			&cli.DurationFlag{Name: "expires", Usage: "agents refuse the record after `DURATION` (default: never)"},
			&cli.StringFlag{Name: "from", Usage: "replay the decision log `FILE` on it and on what the channel serves, and say in the message how many decisions flip"},
			&cli.StringFlag{Name: "after", Usage: "only if the channel asks for `REVISION` now, or for one that begins so; else somebody else was first"},
			&cli.BoolFlag{Name: "dry-run", Usage: "only tell what would be sent"},
			&cli.BoolFlag{Name: "wait", Usage: "wait until the agents serve it, as fleet wait does"},
			acceptRemovalsFlag(), expectFlag(), lostAfterFlag(), timeoutFlag(),
		), planFlags()...)...),
		Action:       func(c *cli.Context) error { return fleetExit(fleetPublish(c)) },
		OnUsageError: usageExit,
	}
}

func messageFlag() cli.Flag {
	return &cli.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "say why, for the history: `TEXT`"}
}

func byFlag() cli.Flag {
	return &cli.StringFlag{Name: "by", Usage: "say who: `NAME` (default: the user and the machine)"}
}

func expectFlag() cli.Flag {
	return &cli.IntFlag{Name: "expect", Usage: "there are at least `N` agents: fewer are no success"}
}

func lostAfterFlag() cli.Flag {
	return &cli.DurationFlag{Name: "lost-after", Value: fleet.LostAfter, Usage: "an agent that was not heard of for `DURATION` is lost"}
}

func timeoutFlag() cli.Flag {
	const limit = 2 * time.Minute
	return &cli.DurationFlag{Name: "timeout", Value: limit, Usage: "give up after `DURATION`"}
}

func fleetPublish(c *cli.Context) error {
	set, wrong := resolve(c)
	if wrong != nil {
		set.PolicyDir = "" // a directory that is named needs no settings
	}
	dir, err := oneDirectory(c, set.PolicyDir)
	if err != nil && wrong != nil {
		err = wrong
	}
	if err != nil {
		return err
	}
	plan, err := readPlan(c)
	if err != nil {
		return err
	}
	by, keys, err := signing(c)
	if err != nil {
		return err
	}
	ctx, cancel := within(c, c.Duration("timeout"))
	defer cancel()
	l, channel, err := channelLink(ctx, c)
	if err != nil {
		return err
	}
	defer l.Close()
	now, err := l.Now(ctx, channel, keys) // before the files are read: of two who publish at once, the second has to learn of the first
	if err != nil {
		return err
	}
	if after := c.String("after"); after != "" && (now.Record() == nil || !sameRevision(now.Record().Target.Revision, after)) {
		return &fleet.Beaten{Now: now}
	}
	g, err := checked(ctx, c, dir)
	if err != nil {
		return err
	}
	view, err := l.View(ctx, channel)
	if err != nil {
		return err
	}
	plan.accepted = c.Bool("accept-removals")
	draft, err := plan.draft(ctx, c, l, now, view, g)
	if err == nil {
		err = plan.orDefault(c, counting(view, plan.selector))
	}
	if err != nil {
		return err
	}
	done, err := l.Publish(ctx, draft, by)
	if err != nil {
		return err
	}
	sayPublished(c, done, draft.Dry)
	sayPlan(ctx, c, l, plan, done.Now.Record())
	if draft.Dry {
		return nil
	}
	if err := l.Purge(ctx); err != nil {
		terminal.Fprintf(c.App.ErrWriter, "old releases were not removed: %s\n", terminal.Error(err))
	}
	return waitForPublished(ctx, c, l, done.Now, plan.selector, keys, by)
}

// waitForPublished does what --wait says.
func waitForPublished(
	ctx context.Context, c *cli.Context, l *fleet.Link, now fleet.Now, selector map[string]string, keys *record.Keys, by *fleet.Signers,
) error {
	switch {
	case !c.Bool("wait"):
		return nil
	case now.Record().Plan != nil:
		return followPlan(c, l, now, keys, by)
	default:
		return waitFor(ctx, c, l, now, selector)
	}
}

// draft is what the flags say of a release.
func (a *planAsked) draft(ctx context.Context, c *cli.Context, l *fleet.Link, now fleet.Now, v *fleet.View, g *engine.Generation) (fleet.Draft, error) {
	if len(a.selector) > 0 && fleet.BaseOf(now.Record()).Revision == "" {
		return fleet.Draft{}, fmt.Errorf("the channel %s has no release yet, so agents without the labels %s would have none to stay at: publish for all first",
			now.Channel, c.String("selector"))
	}
	removal, err := removalOf(ctx, c, l, now, g, a.accepted)
	if err != nil {
		return fleet.Draft{}, err
	}
	draft := fleet.Draft{
		Base: removal.base, Gone: removal.gone,
		After: now, Files: fleet.FilesOf(g), By: author(c), Message: c.String("message"), Agents: len(v.Names()), Dry: c.Bool("dry-run"),
		Shape: func(r *record.Record) error { return a.shape(r, v) },
	}
	if d := c.Duration("expires"); d > 0 {
		draft.Expires = time.Now().Add(d)
	}
	flips, err := flipsOf(ctx, c, removal.was, g)
	if err != nil {
		return draft, err
	}
	if flips != "" {
		terminal.Fprintf(c.App.ErrWriter, "%s\n", flips)
		draft.Message = strings.TrimPrefix(draft.Message+"; "+flips, "; ")
	}
	return draft, nil
}

// checked loads a directory as policy validate does, and tests it as policy test does. Nothing is sent if that finds anything.
func checked(ctx context.Context, c *cli.Context, dir string) (*engine.Generation, error) {
	s, err := resolve(c)
	if err != nil && c.IsSet("overlays") {
		return nil, err // a directory that is named needs no other setting
	}
	src, err := source.Open(dir, source.Config{Overlays: s.Overlays})
	if err != nil {
		return nil, err
	}
	defer src.Close() //nolint:errcheck // it was only read
	found, err := validation(ctx, src, nil)
	if err != nil {
		return nil, err
	}
	if !found.OK() {
		printProblems(c.App.ErrWriter, dir, found.Diagnostics)
		if found.Refused != nil && len(found.Diagnostics) == 0 {
			return nil, fmt.Errorf("%s: %w; nothing was sent", dir, found.Refused)
		}
		return nil, fmt.Errorf("%s: %s; nothing was sent", dir, terminal.Count(len(found.Diagnostics), "problem"))
	}
	return found.Generation, tested(ctx, c, dir, src)
}

func tested(ctx context.Context, c *cli.Context, dir string, src fs.FS) error {
	suite, err := engine.LoadSuite(ctx, src)
	if err != nil {
		return err
	}
	outcome, err := testrun.Run(ctx, suite, testrun.Options{})
	if err != nil {
		return err
	}
	failed := outcome.Failed()
	if len(failed) == 0 {
		return nil
	}
	if err := testrun.Explain(ctx, suite, failed); err != nil {
		return err
	}
	out := testrun.Output{Stdout: c.App.ErrWriter, Stderr: c.App.ErrWriter, Format: "pretty", CoverageFormat: "pretty", Place: placeIn(dir)}
	return errors.Join(out.Write(outcome), fmt.Errorf("%s: %d of %d tests failed; nothing was sent", dir, len(failed), len(outcome.Results)))
}

// author is who publishes, for the history.
func author(c *cli.Context) string {
	if by := c.String("by"); by != "" {
		return by
	}
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

func sayPublished(c *cli.Context, p fleet.Published, dry bool) {
	verb := "published"
	if dry {
		verb = "would publish"
	}
	r := p.Now.Record()
	terminal.Fprintf(c.App.Writer, "%s %s to %s, epoch %d: %s, message %s\n", verb, r.Target.Revision, r.Channel, r.Epoch,
		changes(p), bytesText(p.Message))
}

func changes(p fleet.Published) string {
	files := terminal.Count(len(p.Changed), "file")
	switch {
	case p.Base.Revision == "":
		return files + ", the first release"
	case p.Delta == 0 && len(p.Changed) > 0:
		return files + " changed, no delta: the files of the release before are not there any more"
	case len(p.Changed) == 0:
		return "nothing changed"
	default:
		return fmt.Sprintf("%s changed, delta %s", files, bytesText(p.Delta))
	}
}

// bytesText is a size for people.
func bytesText(n int) string {
	const kilo = 1000
	switch {
	case n < 10*kilo:
		return fmt.Sprintf("%d bytes", n)
	case n < 10*kilo*kilo:
		return fmt.Sprintf("%d kB", n/kilo)
	default:
		return fmt.Sprintf("%d MB", n/kilo/kilo)
	}
}

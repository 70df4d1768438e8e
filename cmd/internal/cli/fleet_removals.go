package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"defenseclaw/api/domains"
	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/memfs"
	"defenseclaw/watcher/fleet/record"

	"github.com/urfave/cli/v2"
)

func acceptRemovalsFlag() cli.Flag {
	return &cli.BoolFlag{
		Name:  "accept-removals",
		Usage: "packages and data that callers rely on and that the release lacks were removed on purpose: agents let go of them",
	}
}

// removal is what a release takes away from those that serve.
type removal struct {
	base fleet.Files // of [fleet.BaseOf]; none where there is none, or its files are not there any more
	was  *engine.Generation
	gone record.Gone // what the release lacks on purpose
}

// removalOf refuses a release that takes away what agents would not let go of, unless that is accepted. What an earlier release
// took away on purpose stays accepted for as long as it is away: an agent may have missed that release.
func removalOf(ctx context.Context, c *cli.Context, l *fleet.Link, now fleet.Now, g *engine.Generation, accepted bool) (removal, error) {
	var r removal
	var all engine.Removals
	var said diagnostic.List
	for i, release := range serving(now.Record()) {
		files, was, err := loaded(ctx, l, release, g)
		switch {
		case ctx.Err() != nil:
			return r, err
		case err != nil:
			terminal.Fprintf(c.App.ErrWriter, "what the release takes away from %s is not known here: %s\n", release.Revision, terminal.Error(err))
			was = nil
		}
		if i == 0 {
			r.base, r.was = files, was
		}
		meant := removalsOf(release.Gone)
		meant = meant.Still(g)
		all.Packages, all.Files = append(all.Packages, meant.Packages...), append(all.Files, meant.Files...)
		if was == nil {
			continue
		}
		lost, about := domains.Keep().Lost(was, g, all)
		all.Packages, all.Files = append(all.Packages, lost.Packages...), append(all.Files, lost.Files...)
		said = append(said, about...)
	}
	if len(said) > 0 && !accepted {
		for i := range said {
			said[i].Hint = "put it back, or publish with --accept-removals"
		}
		report.Write(c.App.ErrWriter, said)
		return r, fmt.Errorf("agents would not let go of what the release takes away: %s; nothing was sent", terminal.Count(len(said), "removal"))
	}
	for _, d := range said {
		terminal.Fprintf(c.App.ErrWriter, "accepted: %s: %s\n", d.File, terminal.Text(d.Message))
	}
	for _, path := range all.Packages {
		r.gone.Packages = append(r.gone.Packages, strings.Join(path, "/"))
	}
	r.gone.Packages, r.gone.Files = sorted(r.gone.Packages), sorted(all.Files)
	return r, nil
}

// serving are the releases that agents serve: that of [fleet.BaseOf], and the one that a rollout brings, or that is for some of them.
func serving(r *record.Record) []record.Release {
	base := fleet.BaseOf(r)
	switch {
	case base.Revision == "":
		return nil
	case base.Revision == r.Target.Revision || r.Plan != nil && r.Plan.Halted != "":
		return []record.Release{base}
	default:
		return []record.Release{base, r.Target}
	}
}

// loaded fetches a release. The files are there also where they do not load. It shares with g what is the same.
func loaded(ctx context.Context, l *fleet.Link, release record.Release, g *engine.Generation) (fleet.Files, *engine.Generation, error) {
	files, err := l.Fetch(ctx, release)
	if err != nil {
		return fleet.Files{}, nil, err
	}
	was, err := engine.Load(ctx, memfs.New(files.All()), g)
	return files, was, err
}

func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

func removalsOf(gone record.Gone) engine.Removals {
	r := engine.Removals{Files: gone.Files}
	for _, name := range gone.Packages {
		r.Packages = append(r.Packages, strings.Split(name, "/"))
	}
	return r
}

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"
	"defenseclaw/engine"
	"defenseclaw/engine/history"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/replay"
	"defenseclaw/engine/source"
	"defenseclaw/policies"

	"github.com/urfave/cli/v2"
)

// isDirectory reports whether a side is a directory: a path that is there, or a name that can mean nothing else.
func isDirectory(side string) bool {
	if side == api.SideServing || side == api.SideDisk || side == api.SideHeld {
		return false
	}
	info, err := os.Stat(side)
	return err == nil && info.IsDir() || filepath.Base(side) != side
}

// compareHere compares in this process. It is for directories that the sidecar must not read.
func compareHere(c *cli.Context, from, to string, withText bool) (*api.Review, error) {
	s, err := openSides(c, from, to)
	if err != nil {
		return nil, err
	}
	base, candidate := s.base, s.candidate
	found := review.Of(base, candidate)
	suites, err := during(c.Context, "tests", func(ctx context.Context) ([]*engine.Suite, error) { return suitesOf(ctx, s.before, s.after) })
	if err == nil { // tests that do not compile are not compared
		found.WithTests(suites[0], suites[1])
	}
	evidence := review.Evidence{}
	if c.Bool("replay") {
		recs, err := logOf(c)
		if err != nil {
			return nil, err
		}
		if evidence.Replay, err = runReplay(c, base, candidate, recs, replay.Options{Review: found}); err != nil {
			return nil, err
		}
	}
	if probes(c) {
		if evidence.Probe, err = s.probe(c, time.Now()); err != nil {
			return nil, err
		}
	}
	answer := api.ReviewOf(found)
	answer.AddEvidence(evidence)
	answer.Base.Name, answer.Candidate.Name = from, to
	if withText {
		answer.Text = review.TextOf(base, candidate)
	}
	return answer, nil
}

// loadSide prints what is wrong with a side that cannot be loaded.
func loadSide(c *cli.Context, side string, src fs.FS, previous *engine.Generation) (*engine.Generation, error) {
	g, err := during(c.Context, "load", func(ctx context.Context) (*engine.Generation, error) { return engine.Load(ctx, src, previous) })
	if refused := new(engine.Refused); errors.As(err, &refused) && len(refused.Diagnostics) > 0 {
		printProblems(c.App.ErrWriter, directoryOfSide(c, side), refused.Diagnostics)
		return nil, drawnApart(side, err, true)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", side, err)
	}
	return g, nil
}

// directoryOfSide is where the files of a side are; empty for one whose files are not those of a directory here.
func directoryOfSide(c *cli.Context, side string) string {
	if isDirectory(side) {
		return side
	}
	if side != api.SideDisk {
		return ""
	}
	s, err := resolve(c)
	if err != nil {
		return ""
	}
	return s.PolicyDir
}

func suitesOf(ctx context.Context, sources ...fs.FS) ([]*engine.Suite, error) {
	var suites []*engine.Suite
	for _, src := range sources {
		if _, hasTests := src.(*source.Dir); !hasTests {
			return nil, errors.New("the history keeps no tests")
		}
		suite, err := engine.LoadSuite(ctx, src)
		if err != nil {
			return nil, err
		}
		suites = append(suites, suite)
	}
	return suites, nil
}

// openSide opens a side next to a directory. The sources stay open until the process exits.
func openSide(c *cli.Context, side string) (fs.FS, error) {
	s, err := resolve(c)
	if isDirectory(side) {
		if err != nil && c.IsSet("overlays") {
			return nil, err // a directory that is named needs no other setting
		}
		return source.Open(side, source.Config{Overlays: s.Overlays})
	}
	if err != nil {
		return nil, err
	}
	switch side {
	case api.SideServing:
		return openServing(c, s)
	case api.SideHeld:
		return openHeld(c, s)
	}
	if s.PolicyDir == "" {
		if side != api.SideDisk {
			return nil, fmt.Errorf("%s: the embedded default pack is used, of which nothing is kept", side)
		}
		return policies.FS(), nil
	}
	if side == api.SideDisk {
		return source.Open(s.PolicyDir, source.Config{AllowOutside: s.OutsideLinks, Overlays: s.Overlays})
	}
	return keptHere(c.Context, s, side)
}

// openServing finds what serves by its revision: in the policy directory, or in the history next to it.
func openServing(c *cli.Context, s settings.Settings) (fs.FS, error) {
	running, err := client(c)
	if err != nil {
		return nil, err
	}
	status, err := running.Status(c.Context)
	if err != nil {
		return nil, err
	}
	if status.Revision == "" {
		return nil, errors.New("serving: no policy is loaded")
	}
	if status.PolicyDir == "" {
		return policies.FS(), nil
	}
	s.PolicyDir = cmp.Or(directoryOf(status), status.PolicyDir)
	if disk, err := source.Open(s.PolicyDir, source.Config{AllowOutside: s.OutsideLinks, Overlays: s.Overlays}); err == nil {
		if reading, err := source.Read(c.Context, disk, source.Options{}); err == nil && reading.Revision() == status.Revision {
			return disk, nil
		}
	}
	return keptHere(c.Context, s, status.Revision)
}

// openHeld finds what waits for an approval in the policy directory, which may have moved on.
func openHeld(c *cli.Context, s settings.Settings) (fs.FS, error) {
	running, err := client(c)
	if err != nil {
		return nil, err
	}
	status, err := running.Status(c.Context)
	if err != nil {
		return nil, err
	}
	if status.Control == nil || status.Control.Mode != "held" {
		return nil, errors.New("held: no candidate is held")
	}
	disk, err := source.Open(cmp.Or(directoryOf(status), status.PolicyDir), source.Config{AllowOutside: s.OutsideLinks, Overlays: s.Overlays})
	if err != nil {
		return nil, err
	}
	reading, err := source.Read(c.Context, disk, source.Options{})
	if err != nil {
		return nil, err
	}
	if reading.Revision() != status.Control.Candidate {
		return nil, errors.New("held: the files are another version now, so only the sidecar has it: compare it with serving, disk or a number")
	}
	return disk, nil
}

func keptHere(ctx context.Context, s settings.Settings, name string) (fs.FS, error) {
	dir, err := filepath.Abs(s.PolicyDir)
	if err != nil {
		return nil, fmt.Errorf("policy directory %s: %w", s.PolicyDir, err)
	}
	store, err := history.New(history.Config{Dir: s.HistoryDir(dir)})
	if err != nil {
		return nil, err
	}
	return sidecar.Kept(ctx, store, name)
}

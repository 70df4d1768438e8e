package fleetproof_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"sync"
	"testing/fstest"
	"time"

	"defenseclaw/watcher"
	"defenseclaw/watcher/fleet"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
)

// follower is the agent of the product with an engine that knows no policy: it serves all files but those that hold one
// named "bad". What serves is computed from the files that it was given, and not what the agent calls them.
type follower struct {
	id     string
	labels map[string]string
	dir    string // survives a restart
	proxy  *fleettest.Proxy
	given  *given

	agent *fleet.Agent // nil while it does not run
	end   func() error

	mu     sync.Mutex
	serves string
	floor  uint64 // of what it served since it has its disk
}

func treeOf(set delta.Set, _ fs.FS, _ delta.Change) (fs.FS, error) {
	tree := fstest.MapFS{}
	for _, f := range set.Files() {
		tree[f.Path] = &fstest.MapFile{Data: f.Content}
	}
	return tree, nil
}

func revisionOf(tree fs.FS) (string, error) {
	all := map[string][]byte{}
	err := fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all[p], err = fs.ReadFile(tree, p)
		}
		return err
	})
	return fleettest.Revision(delta.NewSet(maps.All(all))), err
}

// serve takes a tree as an engine does.
func (f *follower) serve(tree fs.FS) error {
	if _, err := check(context.Background(), fleet.Offer{Tree: tree}); err != nil {
		return err
	}
	revision, err := revisionOf(tree)
	if err != nil {
		return err
	}
	f.given.mayServe(f, revision)
	f.serves = revision
	return nil
}

func check(_ context.Context, release fleet.Offer) (record.Code, error) {
	if _, err := fs.Stat(release.Tree, badFile); err == nil {
		return record.CodePolicy, errors.New(badFile + ": it does not compile")
	}
	return "", nil
}

func (f *follower) apply(context.Context, watcher.Change) fleet.Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	tree, err := f.agent.FS()
	if err == nil {
		err = f.serve(tree)
	}
	return fleet.Outcome{Serves: f.serves, Err: err}
}

func (f *follower) now() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.serves
}

// start starts it with what is on its disk, as a sidecar does.
func (f *follower) start(keys string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, err := fleet.New(fleet.Config{
		Servers: []string{f.proxy.URL()}, Channel: channelName, Agent: f.id, Labels: f.labels, Version: "model", Keys: keys, Dir: f.dir,
		Poll: 300 * time.Millisecond, Revision: fleettest.Revision, Tree: treeOf, Apply: f.apply, Check: check,
	})
	if err != nil {
		return err
	}
	f.serves = ""
	if tree, revision := a.LastGood(); tree != nil {
		if err := f.serve(tree); err == nil && f.serves != revision {
			return fmt.Errorf("%s kept %s, and calls it %s", f.id, f.serves, revision)
		}
		a.Serves(f.serves, "")
	}
	f.agent = a
	ctx, cancel := context.WithCancel(context.Background())
	loaded, ended := make(chan struct{}), make(chan error, 1)
	close(loaded)
	go func() { ended <- a.Run(ctx, loaded) }()
	f.end = func() error {
		cancel()
		return <-ended
	}
	return nil
}

func (f *follower) stop() error {
	if f.agent == nil {
		return nil
	}
	err := f.end()
	f.agent = nil
	return err
}

// forget takes its disk away. It does not run.
func (f *follower) forget() error {
	f.floor = 0
	return os.RemoveAll(f.dir)
}

// given is what agents may serve at all.
type given struct {
	mu      sync.Mutex
	records []record.Record // that a release key signed, or a stage key between releases
	bad     map[string]bool // revisions that engines refuse
	wrong   []string        // what served that should not have
}

func (g *given) add(r record.Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.records = append(g.records, r)
}

// mayServe notes it if an agent serves what no record asked of it, or what only records did that are older than those which
// asked for something that it served before.
func (g *given) mayServe(f *follower, revision string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	first, last := uint64(math.MaxUint64), uint64(0)
	for _, r := range g.records {
		if r.Wanted(f.id, f.labels).Revision == revision {
			first, last = min(first, r.Epoch), max(last, r.Epoch)
		}
	}
	switch {
	case last == 0:
		g.wrong = append(g.wrong, fmt.Sprintf("%s serves %s, which no release key signed for it", f.id, revision))
	case last < f.floor:
		g.wrong = append(g.wrong, fmt.Sprintf("%s went back to %s of epoch %d: it has served %d", f.id, revision, last, f.floor))
	default:
		f.floor = max(f.floor, first)
	}
}

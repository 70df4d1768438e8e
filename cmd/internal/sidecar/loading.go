package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"defenseclaw/engine"
	"defenseclaw/engine/source"

	"go.uber.org/zap"
)

// maxDeaths is how many starts may die while they load the same files. One death proves nothing about them: the
// process may have been killed for another reason. Files that two starts died of are not loaded again.
const maxDeaths = 2

// errHeld is wrapped by the refusal of files that starts died of.
var errHeld = errors.New("they are not loaded again until one of them changes or a reload is asked for")

// A loadMark is a file that is there while a policy directory is loaded for the first time. One that is there at
// the start says that an earlier start died while it loaded. Then a policy that was loaded before serves first.
type loadMark struct {
	path  string
	dir   string
	files func() string // the fingerprint of the policy directory; empty: unknown

	died     *mark       // what an earlier start left; nil: none died
	unproven atomic.Bool // no load of the directory has ended yet
	marked   atomic.Bool // the file is there, and is this start's
	holding  atomic.Bool // the next load is refused with errHeld
}

// mark is the content of the file.
type mark struct {
	PolicyDir string `json:"policy_dir"`
	Files     string `json:"files"`  // fingerprint of what is loaded
	Deaths    int    `json:"deaths"` // how many starts will have died of Files if this one does
}

// openLoadMark reads the mark of an earlier start. A mark that cannot be read was half-written by one that died.
func (s *Sidecar) openLoadMark() *loadMark {
	m := &loadMark{
		path: filepath.Join(s.cfg.Settings.DataDir, "loading.json"), dir: s.place(), files: s.fingerprint,
	}
	m.unproven.Store(true)
	text, err := os.ReadFile(m.path)
	if err != nil {
		return m
	}
	died := mark{PolicyDir: m.dir, Deaths: 1}
	if json.Unmarshal(text, &died) != nil || died.PolicyDir == m.dir {
		m.died = &died
	}
	return m
}

// begin writes the mark before a load of which it is not known that the process survives it. A data directory that
// cannot be written is no reason not to load.
func (m *loadMark) begin() error {
	now := mark{PolicyDir: m.dir, Files: m.files(), Deaths: 1}
	if m.died != nil && m.died.Files == now.Files {
		now.Deaths = m.died.Deaths + 1
	}
	text, err := json.Marshal(now)
	if err != nil {
		return err
	}
	m.marked.Store(true)
	return os.WriteFile(m.path, append(text, '\n'), 0o600)
}

// end removes the mark of this start. The mark of files that are held stays for the next start.
func (m *loadMark) end() error {
	if !m.marked.CompareAndSwap(true, false) {
		return nil
	}
	if err := os.Remove(m.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// deadly reports whether the directory holds the very files that too many starts died of.
func (m *loadMark) deadly() bool {
	return m.unproven.Load() && m.died != nil && m.died.Deaths >= maxDeaths && m.died.Files != "" && m.died.Files == m.files()
}

// fingerprint is empty where the directory cannot be listed, or holds more than the limits allow: then no file of
// it is read.
func (s *Sidecar) fingerprint() string {
	src, err := s.source()
	if err != nil {
		return ""
	}
	if closer, ok := src.(io.Closer); ok {
		defer closer.Close() //nolint:errcheck // it was only read
	}
	files, err := source.Fingerprint(context.Background(), src, source.Options{Limits: s.limits()})
	if err != nil {
		return ""
	}
	return files
}

// loadAfterDeath is the first load after a start died in its own. A policy of an earlier run serves first, if there
// is one. Files that too many starts died of are refused without being loaded.
func (s *Sidecar) loadAfterDeath(ctx context.Context) {
	m := s.loading
	s.cfg.Logger.Warn("the previous start ended while it loaded the policy directory; the last good policy serves first",
		zap.String("policy_dir", m.dir), zap.Int("starts", m.died.Deaths))
	s.restore(ctx)
	m.holding.Store(m.deadly())
	s.reload(ctx, engine.Trigger{Kind: engine.TriggerStartup})
	m.holding.Store(false)
}

// marked is the source of the engine. It says on disk that a load begins, where none has ended yet.
func (s *Sidecar) marked() (fs.FS, error) {
	m := s.loading
	if m == nil || !m.unproven.Load() {
		return s.source()
	}
	if m.holding.Load() {
		return nil, fmt.Errorf("policy directory %s: %d starts ended while they loaded these files; %w", m.dir, m.died.Deaths, errHeld)
	}
	src, err := s.source()
	if err != nil {
		return nil, err
	}
	if err := m.begin(); err != nil {
		s.cfg.Logger.Warn("if the process ends while it loads, the next start will not notice", zap.Error(err))
	}
	if dir, ok := src.(*source.Dir); ok {
		return unproven{dir, m}, nil
	}
	return unprovenTree{src, m}, nil
}

// unproven is a policy directory that is loaded for the first time. The engine closes it when it has loaded it, well
// or not: then the load did not end the process.
type unproven struct {
	*source.Dir
	mark *loadMark
}

func (u unproven) Close() error {
	u.mark.unproven.Store(false)
	return errors.Join(u.mark.end(), u.Dir.Close())
}

// unprovenTree is as unproven, of what was fetched.
type unprovenTree struct {
	fs.FS
	mark *loadMark
}

func (u unprovenTree) Close() error {
	u.mark.unproven.Store(false)
	return u.mark.end()
}

// Overlays makes it a [source.Overlaid], as what it wraps may be.
func (u unprovenTree) Overlays() []string {
	if tree, ok := u.FS.(source.Overlaid); ok {
		return tree.Overlays()
	}
	return nil
}

// Verified makes it an [engine.VerifiedSource]; nobody signed it unless what it wraps says so.
func (u unprovenTree) Verified() engine.Verified {
	if signed, ok := u.FS.(engine.VerifiedSource); ok {
		return signed.Verified()
	}
	return engine.Verified{}
}

// Removals makes it an [engine.RemovingSource], as what it wraps may be.
func (u unprovenTree) Removals() engine.Removals {
	if tree, ok := u.FS.(engine.RemovingSource); ok {
		return tree.Removals()
	}
	return engine.Removals{}
}

// place names the policy for the mark.
func (s *Sidecar) place() string {
	if set := s.cfg.Settings; set.Source.URL != "" {
		return set.Source.URL
	}
	return absolute(s.cfg.Settings.PolicyDir)
}

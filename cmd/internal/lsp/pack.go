package lsp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/schema"
	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/memfs"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// pack is the policy directory, with the buffers of the editor in the place of its files. Safe for concurrent use.
type pack struct {
	root     string // absolute
	overlays []string
	engine   *engine.Engine
	checks   *schema.Checks

	mu      sync.Mutex // guards the fields below
	reading *source.Reading
	disk    *memfs.Tree
	buffers map[string]*buffer   // by slash path relative to root
	parsed  map[string]*parsed   // so; of every module
	heads   map[string][]defined // definitions by path
	stale   bool                 // heads are
}

// buffer is a file that is open in the editor.
type buffer struct {
	uri     string // as the editor writes it
	version int
	*document
}

// parsed is a module and what it mentions. It is of the last text that parsed.
type parsed struct {
	text string // the text that was parsed, or that did not parse
	*names
	doc *document // of names; names may be nil

	strict   diagnostic.List // what nothing uses in strictOf
	strictOf *string         // the text that was looked at; nil: none was
}

// defined is the head of a rule.
type defined struct {
	file string
	mention
	rule *ast.Rule
}

func newPack(root string, overlays []string) (*pack, error) {
	p := &pack{root: root, overlays: overlays, buffers: map[string]*buffer{}, parsed: map[string]*parsed{}, checks: schema.NewChecks(nil, api.GuardSchema())}
	var err error
	p.engine, err = engine.New(engine.Config{Tests: true, RemovalWait: -1, Source: func() (fs.FS, error) { return p.tree() }})
	return p, err
}

// rel is the path of a file within the pack; false where it lies elsewhere.
func (p *pack) rel(uri string) (string, bool) {
	path, err := pathOf(uri)
	if err != nil {
		return "", false
	}
	rel, err := filepath.Rel(p.root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}

// uri is the URI of a file of the pack, as the editor writes it if it has it open.
func (p *pack) uri(rel string) string {
	if b := p.buffers[rel]; b != nil {
		return b.uri
	}
	return uriOf(filepath.Join(p.root, filepath.FromSlash(rel)))
}

// readDisk reads what has changed in the directory.
func (p *pack) readDisk(ctx context.Context) error {
	dir, err := source.Open(p.root, source.Config{Overlays: p.overlays})
	if err != nil {
		return err
	}
	p.mu.Lock()
	before := p.reading
	p.mu.Unlock()
	reading, err := source.Read(ctx, dir, source.Options{Tests: true, Earlier: source.Earlier{Previous: before}})
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := reading.ChangedSince(p.reading)
	now := map[string][]byte{}
	for _, path := range changed.All {
		if f := reading.Find(path); f != nil {
			now[path] = f.Bytes
		}
	}
	if p.disk, err = p.disk.Apply(now, changed.Removed); err != nil {
		return err
	}
	p.reading = reading
	for path, text := range now {
		if p.buffers[path] == nil {
			p.parse(path, string(text))
		}
	}
	for _, path := range changed.Removed {
		if p.buffers[path] == nil {
			delete(p.parsed, path)
			p.stale = true
		}
	}
	return nil
}

// tree is the directory with the buffers.
func (p *pack) tree() (*memfs.Tree, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.treeWith(nil)
}

// treeWith is tree with other texts. Called with mu held.
func (p *pack) treeWith(texts map[string]string) (*memfs.Tree, error) {
	open := map[string][]byte{}
	for rel, b := range p.buffers {
		if source.RelevantToTests(rel) {
			open[rel] = []byte(b.text)
		}
	}
	for rel, text := range texts {
		open[rel] = []byte(text)
	}
	return p.disk.Apply(open, nil)
}

// open takes a text that the editor has.
func (p *pack) open(doc textDocument) {
	rel, ok := p.rel(doc.URI)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.buffers[rel] = &buffer{doc.URI, doc.Version, newDocument(doc.Text)}
	p.parse(rel, doc.Text)
}

// close takes the file of the directory again.
func (p *pack) close(uri string) {
	rel, ok := p.rel(uri)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.buffers, rel)
	delete(p.parsed, rel)
	p.stale = true
	if p.reading == nil {
		return
	}
	if f := p.reading.Find(rel); f != nil {
		p.parse(rel, string(f.Bytes))
	}
}

// parse notes what a module mentions. Called with mu held.
func (p *pack) parse(rel, text string) {
	if !strings.HasSuffix(rel, ".rego") || !source.RelevantToTests(rel) {
		return
	}
	of := p.parsed[rel]
	if of == nil {
		of = &parsed{}
		p.parsed[rel] = of
	}
	if of.names != nil && of.text == text {
		return
	}
	of.text = text
	_ = engine.Contained("read "+rel, func() error { // what is wrong with it, a load says
		module, err := ast.ParseModuleWithOpts(rel, text, ast.ParserOptions{ProcessAnnotation: true})
		if err == nil && module != nil {
			of.names, of.doc = namesOf(module, text), newDocument(text)
			p.stale = true
		}
		return err
	})
}

// definitions are the heads of all rules, by path. Called with mu held.
func (p *pack) definitions() map[string][]defined {
	if !p.stale && p.heads != nil {
		return p.heads
	}
	p.heads, p.stale = map[string][]defined{}, false
	for _, file := range slices.Sorted(maps.Keys(p.parsed)) {
		of := p.parsed[file]
		if of.names == nil {
			continue
		}
		for _, m := range of.mentions {
			if m.defines {
				p.heads[m.path] = append(p.heads[m.path], defined{file, m, of.ruleAt(m.start)})
			}
		}
	}
	return p.heads
}

// ruleAt is the rule in whose text a byte lies, or that begins after it on its line.
func (n *names) ruleAt(offset int) *ast.Rule {
	var found *ast.Rule
	for _, rule := range n.module.Rules {
		if at := rule.Loc(); at != nil && at.Offset <= offset {
			found = rule
		}
	}
	return found
}

// check judges the pack as it is now, and returns what is wrong with each file.
func (p *pack) check(ctx context.Context) (diagnostic.List, error) {
	report, err := p.engine.Reload(ctx, engine.Trigger{Kind: engine.TriggerAPI})
	var refused *engine.Refused
	switch {
	case errors.As(err, &refused):
		if len(refused.Diagnostics) == 0 {
			return nil, refused
		}
		return refused.Diagnostics, nil
	case err != nil:
		return nil, err
	}
	return p.checks.Problems(report.Generation)
}

// generation is the last one that was sound; nil before the first.
func (p *pack) generation() *engine.Generation { return p.engine.Current() }

// compiles returns why the pack would not load with other texts.
func (p *pack) compiles(ctx context.Context, texts map[string]string) error {
	p.mu.Lock()
	tree, err := p.treeWith(texts)
	p.mu.Unlock()
	if err != nil {
		return err
	}
	if _, err = engine.LoadSuite(ctx, tree); err != nil {
		return fmt.Errorf("the policy would not load: %w", err)
	}
	return nil
}

// text is the document of a file, as the editor or the directory has it. Called with mu held.
func (p *pack) text(rel string) *document {
	if b := p.buffers[rel]; b != nil {
		return b.document
	}
	if p.reading != nil {
		if f := p.reading.Find(rel); f != nil {
			return newDocument(string(f.Bytes))
		}
	}
	return nil
}

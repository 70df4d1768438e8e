// Package guard asks the policy itself whether a change of it may serve: rules of the package system.reload, whose input is
// the review of the change.
//
// Most callers need [New] and [Guards.Judge]. The guards of the base judge the change that edits them; those of the
// candidate, and those of a directory that may belong to somebody else, are asked as well, and the stricter holds. A guard
// that fails, crashes or takes too long says neither yes nor no: that is a [Fault], and what follows from it is the
// caller's to say. Nothing here decides, refuses or logs.
package guard

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Package is the package whose rules are guards.
func Package() engine.Path { return engine.Path{"system", "reload"} }

// Level is what a guard wants done about a change: the name of its rule.
type Level string

// The levels, the gravest first.
const (
	Deny Level = "deny" // it must not serve
	Hold Level = "hold" // a person must approve it
	Warn Level = "warn" // people should know
)

// Levels lists them, the gravest first.
func Levels() []Level { return []Level{Deny, Hold, Warn} }

// Whose a guard is.
const (
	OfBase      = "base"
	OfCandidate = "candidate"
	OfDirectory = "guards_dir"
)

// Finding is one thing that a guard said.
type Finding struct {
	Level Level
	Msg   string // for people
	Code  string // for programs; may be empty
	Path  string // the document that it is about; may be empty
	Of    string // OfBase, OfCandidate or OfDirectory
	File  string // of the rule that said it; relative to the directory of its policy; empty if it is data
	Row   int
}

// Kind says what went wrong with a guard.
type Kind string

// The kinds.
const (
	Failed    Kind = "failed"    // an error, such as of a builtin or of rules that conflict
	Crashed   Kind = "crashed"   // a panic, which was contained
	TooLong   Kind = "too_long"  // it did not end in time
	Malformed Kind = "malformed" // what it said is neither a text nor an object with msg
	Unread    Kind = "unread"    // the directory of guards could never be loaded
)

// Fault is a guard that gave no sound answer.
type Fault struct {
	Kind  Kind
	Level Level  // of the rule; empty for Unread
	Msg   string // for people
	Of    string
	File  string // may be empty
	Row   int
}

// Verdict is what all guards said of one change, in a fixed order: by level, whose they are, and text.
type Verdict struct {
	Findings []Finding // each text once, the first of base, candidate and directory
	Faults   []Fault
	Left     int // findings that were left out, since there were too many
	// Revision names what judged, other than base and candidate, for [review.Digest]: the revision of the directory, empty
	// without one.
	Revision string
	Asked    bool // there is a guard at all
}

// Of are the findings of one level.
func (v *Verdict) Of(level Level) []Finding {
	var of []Finding
	for _, f := range v.Findings {
		if f.Level == level {
			of = append(of, f)
		}
	}
	return of
}

// DefaultTimeout bounds each guard: that of the base, that of the candidate and that of the directory.
const DefaultTimeout = 200 * time.Millisecond

// Config says which guards judge in addition to those of base and candidate.
type Config struct {
	// Directory opens a directory with guards of its own; nil: there is none. What it returns is closed if it can be.
	Directory func() (fs.FS, error)
	Timeout   time.Duration // of each guard; 0: [DefaultTimeout]
}

// Guards judge changes. Safe for concurrent use.
type Guards struct {
	cfg Config

	mu   sync.Mutex
	last *engine.Generation // of the directory, the last that could be loaded; nil before
}

// New makes guards. Nothing is read before the first judgement.
func New(cfg Config) *Guards {
	cfg.Timeout = cmp.Or(cfg.Timeout, DefaultTimeout)
	return &Guards{cfg: cfg}
}

// Judge asks the guards about the step from base, nil for the first, to candidate. review is what they get as input: JSON
// text as []byte or [json.RawMessage], or a value that encoding/json can write. Guards take at most the timeout each, also
// where they would go on. The error is ctx's, or says why review is no input; there is no verdict then.
func (g *Guards) Judge(ctx context.Context, base, candidate *engine.Generation, review any) (*Verdict, error) {
	input, err := inputOf(review)
	if err != nil {
		return nil, err
	}
	v := &Verdict{}
	if base != nil {
		g.ask(ctx, v, OfBase, base, input)
	}
	if base != candidate {
		g.ask(ctx, v, OfCandidate, candidate, input)
	}
	if g.cfg.Directory != nil {
		g.askDirectory(ctx, v, input)
	}
	if err := ctx.Err(); err != nil { // what ended with it says nothing about the guards
		return nil, err
	}
	v.settle()
	return v, nil
}

// Revision is that of [Verdict] now. The directory is read again. The error is of a directory that could never be loaded.
func (g *Guards) Revision(ctx context.Context) (string, error) {
	if g.cfg.Directory == nil {
		return "", nil
	}
	now, _, err := g.directory(ctx)
	if err != nil {
		return "", err
	}
	return now.Revision(), nil
}

func inputOf(review any) (ast.Value, error) {
	var text []byte
	switch r := review.(type) {
	case []byte:
		text = r
	case json.RawMessage:
		text = r
	default:
		var err error
		if text, err = json.Marshal(review); err != nil {
			return nil, fmt.Errorf("write the review for the guards: %w", err)
		}
	}
	input, err := engine.ParseJSON(text)
	if err != nil {
		return nil, fmt.Errorf("read the review for the guards: %w", err)
	}
	return input, nil
}

func (g *Guards) askDirectory(ctx context.Context, v *Verdict, input ast.Value) {
	now, stale, err := g.directory(ctx)
	if err != nil {
		v.Faults = append(v.Faults, Fault{Kind: Unread, Of: OfDirectory, Msg: "the directory of guards cannot be loaded: " + err.Error()})
		return
	}
	if stale != nil {
		v.Findings = append(v.Findings, Finding{
			Level: Warn, Code: CodeStale, Of: OfDirectory,
			Msg: "the directory of guards cannot be loaded, and what it held before judges: " + stale.Error(),
		})
	}
	v.Revision = now.Revision()
	g.ask(ctx, v, OfDirectory, now, input)
}

// CodeStale is the code of a finding about a directory of guards that is broken now.
const CodeStale = "guards_dir_stale"

// directory loads the guards of the directory: those that it holds now or, with the reason as stale, those that it held
// when it could be loaded last. The error says why there are none.
func (g *Guards) directory(ctx context.Context) (_ *engine.Generation, stale, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, err := g.load(ctx)
	if err == nil {
		g.last = now
		return now, nil, nil
	}
	if g.last == nil {
		return nil, nil, err
	}
	return g.last, err, nil
}

func (g *Guards) load(ctx context.Context) (_ *engine.Generation, err error) {
	src, err := g.cfg.Directory()
	if err != nil {
		return nil, err
	}
	if closer, ok := src.(interface{ Close() error }); ok {
		defer func() { err = errors.Join(err, closer.Close()) }()
	}
	return engine.Load(ctx, src, g.last)
}

// settle leaves out what was said twice, and sorts. The first of base, candidate and directory keeps the text.
func (v *Verdict) settle() {
	type said struct {
		level           Level
		msg, code, path string
	}
	seen := map[said]bool{}
	v.Findings = slices.DeleteFunc(v.Findings, func(f Finding) bool {
		key := said{f.Level, f.Msg, f.Code, f.Path}
		again := seen[key]
		seen[key] = true
		return again
	})
	levels := Levels()
	slices.SortStableFunc(v.Findings, func(a, b Finding) int {
		return cmp.Compare(slices.Index(levels, a.Level), slices.Index(levels, b.Level))
	})
}

// Codes of the diagnostics that [Verdict.Diagnostics] makes where a guard gave none.
const (
	CodeDenied = "guard_denied"
	CodeHeld   = "guard_held"
	CodeFault  = "guard_fault"
)

// Diagnostics are what a refusal by guards consists of: the findings of a level and the faults, each with the place of the
// rule. Files of a directory of guards keep their names there, so the text says whose they are.
func (v *Verdict) Diagnostics(level Level) diagnostic.List {
	codes := map[Level]string{Deny: CodeDenied, Hold: CodeHeld}
	var list diagnostic.List
	for _, f := range v.Of(level) {
		d := diagnostic.Diagnostic{File: f.File, Line: f.Row, Code: cmp.Or(codes[level], string(level)), Message: f.Msg}
		if f.Code != "" {
			d.Details = append(d.Details, "code "+f.Code)
		}
		if f.Path != "" {
			d.Details = append(d.Details, "about "+f.Path)
		}
		d.Details = append(d.Details, whose(f.Of))
		list = append(list, d)
	}
	for _, f := range v.Faults {
		list = append(list, diagnostic.Diagnostic{
			File: f.File, Line: f.Row, Code: CodeFault, Message: f.Msg, Details: []string{whose(f.Of)},
		})
	}
	return list
}

func whose(of string) string {
	switch of {
	case OfBase:
		return "a guard of the policy that serves"
	case OfCandidate:
		return "a guard of the policy that was to serve"
	default:
		return "a guard of the directory of guards"
	}
}

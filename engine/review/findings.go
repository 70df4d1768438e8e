package review

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"defenseclaw/engine"
)

// Finding is what an operator should know of a candidate, or of what serves.
type Finding struct {
	Level   Level
	Code    string
	Path    string // the document that it is about; for [CodeIncomplete], the part; may be empty
	Message string // for people
	File    string // where to look; may be empty
	Row     int    // in File, from 1; 0: not known
}

// Level says what a finding asks for. What becomes of a candidate is for [Terms.Verdict] to say.
type Level string

// The levels.
const (
	Warn Level = "warn" // nothing but to be read
	Hold Level = "hold" // somebody has to look at it
	Deny Level = "deny" // the candidate must not serve
)

// Levels lists them, the gravest first.
func Levels() []Level { return []Level{Deny, Hold, Warn} }

// The codes of findings. Guards give findings codes of their own.
const (
	CodeGone        = "gone"         // decisions have used a document that nothing defines any more
	CodeTestFailed  = "test_failed"  // a test that the change can affect failed
	CodeFlip        = "flip"         // recorded decisions are answered otherwise
	CodeFound       = "found"        // an input that nobody recorded is answered otherwise
	CodeIncomplete  = "incomplete"   // a part of the review was not made to its end
	CodeGuard       = "guard"        // a guard that gives no code of its own
	CodeGuardError  = "guard_error"  // the guards could not be asked
	CodeNotAdmitted = "not_admitted" // the candidate never served, and what did is gone: there is nothing to compare it with
)

// Findings names the documents that decisions have used and that are gone: see [engine.Engine.LossOf].
func Findings(lost []engine.LostDocument) []Finding {
	var found []Finding
	for _, d := range lost {
		if d.Used {
			found = append(found, Finding{
				Level: Hold, Code: CodeGone, Path: d.Path, Message: "decisions have used " + d.Path + ", and nothing defines it any more",
			})
		}
	}
	return found
}

// Findings are those of the evidence.
func (t Terms) Findings(e Evidence) []Finding {
	var found []Finding
	if e.Tests != nil {
		for _, f := range e.Tests.Failed {
			found = append(found, Finding{
				Level: Deny, Code: CodeTestFailed, Path: f.Name, Message: fmt.Sprintf("the test %s fails: %s", f.Name, strings.Join(strings.Fields(f.Why), " ")), File: f.File, Row: f.Row,
			})
		}
	}
	if e.Replay != nil {
		for _, g := range e.Replay.Groups {
			found = append(found, t.flips(g))
		}
	}
	if e.Probe != nil {
		found = append(found, t.foundInputs(e.Probe)...)
	}
	return append(found, t.incomplete(e)...)
}

// flips is about decisions that somebody should look at before they are otherwise, if anybody looks at all: a change that
// changes no decision is rare, so they refuse none.
func (t Terms) flips(g Group) Finding {
	what := fmt.Sprintf("%d recorded decisions of %s change: %s", g.Count, g.Path, inWords(g.Kind))
	if g.Count == 1 {
		what = fmt.Sprintf("a recorded decision of %s changes: %s", g.Path, inWords(g.Kind))
	}
	if cause := cmp.Or(g.Cause.Rule, g.Cause.Data); cause != "" {
		what += ", by " + cause
	}
	return Finding{Level: t.otherAnswers(), Code: CodeFlip, Path: g.Path, Message: what, File: g.Cause.File, Row: g.Cause.Row}
}

// foundInputs has one finding for each path and kind.
func (t Terms) foundInputs(p *Probe) []Finding {
	type key struct {
		path string
		kind FlipKind
	}
	counts, order := map[key]int{}, []key{}
	for _, f := range p.Found {
		k := key{f.Path, f.Kind}
		if counts[k]++; counts[k] == 1 {
			order = append(order, k)
		}
	}
	var found []Finding
	for _, k := range order {
		level := t.otherAnswers()
		if k.kind == OtherFlip || k.kind == FromError { // a new rule has such inputs, and nobody to miss the answer before
			level = Warn
		}
		found = append(found, Finding{Level: level, Code: CodeFound, Path: k.path,
			Message: fmt.Sprintf("%s the decision of %s: %s", inputsChange(counts[k]), k.path, inWords(k.kind))})
	}
	return found
}

func inputsChange(n int) string {
	if n == 1 {
		return "an input that nobody recorded changes"
	}
	return fmt.Sprintf("%d inputs that nobody recorded change", n)
}

func inWords(k FlipKind) string {
	if k == OtherFlip {
		return "another answer"
	}
	return strings.ReplaceAll(string(k), "_", " ")
}

// incomplete says what was asked for and not done. A replay that came to every kind of decision is a picture of all, as far
// as there can be one: records that cannot be replayed, such as masked ones, make none incomplete.
func (t Terms) incomplete(e Evidence) []Finding {
	var found []Finding
	add := func(level Level, part, message string) {
		found = append(found, Finding{Level: level, Code: CodeIncomplete, Path: part, Message: message})
	}
	for _, text := range e.Incomplete {
		part, _, _ := strings.Cut(text, ":")
		level := t.Incomplete
		if r := e.Replay; part == PartReplay && r != nil && r.Confidence != ConfidencePartial && (e.Lost == "" || text != e.Lost) {
			level = Warn
		}
		if part == PartProbe && e.Probe != nil { // a search proves nothing, so a shorter one is no less
			level = Warn
		}
		add(level, part, text)
	}
	named := func(part string) bool {
		return slices.ContainsFunc(found, func(f Finding) bool { return f.Path == part })
	}
	if r := e.Tests; r != nil && r.NotRun > 0 && !named(PartTests) {
		add(t.Incomplete, PartTests, fmt.Sprintf("%s: %d of %d were not run", PartTests, r.NotRun, r.NotRun+r.Ran))
	}
	if r := e.Replay; r != nil && r.Confidence == ConfidencePartial && !named(PartReplay) {
		add(t.Incomplete, PartReplay, fmt.Sprintf("%s: %d of %d kinds of decisions were replayed", PartReplay, r.StrataReplayed, r.Strata))
	}
	return found
}

// The parts of [Evidence], as the texts of its Incomplete begin.
const (
	PartTests  = "tests"
	PartReplay = "replay"
	PartProbe  = "probe"
)

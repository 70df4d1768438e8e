package history

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"defenseclaw/engine"
)

// Record is what the index tells of one generation that served. It outlives the entry, which is swept earlier.
type Record struct {
	Seq        uint64 // counts the generations that served from this directory, over all restarts; never reused
	Revision   string // as [engine.Generation.Revision]
	Root       string // as [engine.Generation.Root]
	Generation uint64 // its number in the process in which it served first
	Version    string // of that program

	ServedFrom  time.Time // in UTC
	ServedUntil time.Time // when the next one began, or the process ended; zero while it serves, and after a crash until the next start

	Trigger  string   // what asked for it, as [engine.TriggerKind]
	Actor    string   // who changed it, the best that is known
	Changed  []string // files that differ from those of the generation before; at most [MaxChanged]
	More     int      // files that Changed has no room for
	Packages []string // that these files declare or declared, sorted; at most [MaxChanged]
	Order    *Order   // what made it serve; nil where no operator did
	Phases   []Phase  // of the attempt that made it serve, in their order; nil where they are not known

	Reviewed *Reviewed // what came of the review of the change; nil where none did, or not yet

	File string // name of its entry
	Kept bool   // the entry is there, or is waiting to be written: [Store.Open] can give it
}

// Phase is how long a part of an attempt took, which is named as in [engine.Phase].
type Phase struct {
	Name string  `json:"name"`
	MS   float64 `json:"ms"`
}

// PhasesOf are those of a report.
func PhasesOf(phases []engine.Phase) (all []Phase) {
	for _, p := range phases {
		all = append(all, Phase{p.Name, float64(p.Duration.Microseconds()) / 1000})
	}
	return all
}

// Reviewed is what came of the review of a change.
type Reviewed struct {
	Verdict  string         `json:"verdict"`            // admitted or held; what is held serves once it is approved
	Findings map[string]int `json:"findings,omitempty"` // by level
	Flips    map[string]int `json:"flips,omitempty"`    // recorded decisions that changed, by kind
	Override string         `json:"override,omitempty"` // why it serves whatever the findings are
}

// Order is what an operator ordered, or what followed from it.
type Order struct {
	Name   string `json:"name"` // rolled-back, approved, reverted
	Actor  string `json:"actor,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// MaxChanged is the number of files, and of packages, that a Record names.
const MaxChanged = 1000

// Errors that [Store.Find] and [Store.Open] wrap.
var (
	ErrNotFound = errors.New("the history has no such generation")
	ErrSwept    = errors.New("it is no longer kept")
)

// AmbiguousError is a prefix that several revisions begin with.
type AmbiguousError struct {
	Ref     string
	Matches []Record // the newest of each revision, the newest first
}

func (e *AmbiguousError) Error() string {
	var names []string
	for _, r := range e.Matches {
		names = append(names, fmt.Sprintf("%d (%s)", r.Seq, r.Revision))
	}
	return fmt.Sprintf("%q begins several revisions: %s", e.Ref, strings.Join(names, ", "))
}

// minPrefix is the number of digits from which a text is taken for the beginning of a revision.
const minPrefix = 4

// Find returns the record that ref names: by its number, or by the beginning of its revision, at least four digits
// with or without "sha256:". A number that is both is the number. Where a revision served several times it is the
// newest record that is kept. The error is an [AmbiguousError], or wraps [ErrNotFound].
func (s *Store) Find(ref string) (Record, error) {
	all, err := s.Records()
	if err != nil {
		return Record{}, err
	}
	if seq, err := strconv.ParseUint(ref, 10, 64); err == nil {
		for _, r := range all {
			if r.Seq == seq {
				return r, nil
			}
		}
	}
	digits := strings.TrimPrefix(ref, "sha256:")
	var matches []Record
	if len(digits) >= minPrefix && strings.Trim(digits, "0123456789abcdef") == "" {
		matches = beginningWith("sha256:"+digits, all)
	}
	switch len(matches) {
	case 0:
		return Record{}, fmt.Errorf("%w: %s", ErrNotFound, notFound(ref, all))
	case 1:
		return matches[0], nil
	default:
		return Record{}, &AmbiguousError{ref, matches}
	}
}

// beginningWith returns one record of each revision: the newest that is kept, else the newest.
func beginningWith(prefix string, all []Record) []Record {
	var found []Record
	place := map[string]int{}
	for _, r := range all {
		if !strings.HasPrefix(r.Revision, prefix) {
			continue
		}
		i, seen := place[r.Revision]
		if !seen {
			place[r.Revision] = len(found)
			found = append(found, r)
		} else if r.Kept && !found[i].Kept {
			found[i] = r
		}
	}
	return found
}

func notFound(ref string, all []Record) string {
	if len(all) == 0 {
		return fmt.Sprintf("%q: it is empty", ref)
	}
	return fmt.Sprintf("%q: it has the numbers %d to %d, and a revision is named by its first %d digits or more",
		ref, all[len(all)-1].Seq, all[0].Seq, minPrefix)
}

// Served is a generation that began to serve.
type Served struct {
	Generation *engine.Generation // required
	Previous   *engine.Generation // served before it; nil when nothing did in this process
	Trigger    string             // what asked for it
	Actor      string             // who changed it
	Order      *Order             // what made it serve; nil where no operator did
	At         time.Time          // when it began; zero: when it was loaded
	Phases     []engine.Phase     // of the attempt
}

// record makes the record of a generation, without its number.
func (s *Store) record(what Served) Record {
	g := what.Generation
	r := Record{
		Revision: g.Revision(), Root: g.Root(), Generation: g.Number(), Version: s.cfg.Version,
		ServedFrom: what.At, Trigger: what.Trigger, Actor: what.Actor, Changed: g.Changed(), Packages: packagesOf(what), Order: what.Order,
		Phases: PhasesOf(what.Phases),
	}
	if r.ServedFrom.IsZero() {
		r.ServedFrom = g.LoadedAt()
	}
	if r.ServedFrom.IsZero() {
		r.ServedFrom = time.Now()
	}
	r.ServedFrom = r.ServedFrom.UTC().Round(0)
	if more := len(r.Changed) - MaxChanged; more > 0 {
		r.Changed, r.More = r.Changed[:MaxChanged], more
	}
	return r
}

// packagesOf lists the packages of the files that changed: a file that moved its package has two.
func packagesOf(what Served) []string {
	found := map[string]bool{}
	for _, file := range what.Generation.Changed() {
		for _, g := range []*engine.Generation{what.Previous, what.Generation} {
			if g == nil || isData(file) {
				continue
			}
			if pkg, _ := g.RulesIn(file); pkg != nil {
				found[strings.Join(pkg, ".")] = true
			}
		}
		if len(found) >= MaxChanged {
			break
		}
	}
	return slices.Sorted(maps.Keys(found))
}

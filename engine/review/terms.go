package review

import (
	"fmt"
	"time"
)

// Mode says when a change is reviewed, and what becomes of it.
type Mode string

// The modes.
const (
	ModeOff     Mode = "off"     // never
	ModeReport  Mode = "report"  // after it serves
	ModeEnforce Mode = "enforce" // before: it serves, or is refused
	ModeHold    Mode = "hold"    // before: it serves, waits for an approval, or is refused
)

// Before reports whether a change is reviewed before it serves.
func (m Mode) Before() bool { return m == ModeEnforce || m == ModeHold }

// Terms are what a process has been told to do with the changes that it reviews.
type Terms struct {
	Mode       Mode
	Always     bool  // with ModeHold, every change waits for an approval
	Incomplete Level // of what could not be reviewed; see [TermsOf]
}

// TermsOf are those of a mode. incomplete is admit, refuse, hold or mode, as is empty: what could not be reviewed is
// admitted in report, refused in enforce and held in hold. always has every change wait in hold.
func TermsOf(mode Mode, always bool, incomplete string) (Terms, error) {
	own := map[Mode]Level{ModeOff: Warn, ModeReport: Warn, ModeEnforce: Deny, ModeHold: Hold}
	t := Terms{Mode: mode, Always: always}
	var known bool
	if t.Incomplete, known = own[mode]; !known {
		return t, fmt.Errorf("a mode is %q: off, report, enforce or hold was expected", mode)
	}
	switch incomplete {
	case "", "mode":
	case "admit":
		t.Incomplete = Warn
	case "refuse":
		t.Incomplete = Deny
	case "hold":
		t.Incomplete = Hold
	default:
		return t, fmt.Errorf("what becomes of an incomplete review is %q: mode, admit, refuse or hold was expected", incomplete)
	}
	return t, nil
}

// otherAnswers is the level of decisions that change.
func (t Terms) otherAnswers() Level {
	if t.Mode == ModeHold {
		return Hold
	}
	return Warn
}

// Verdict is what becomes of a candidate.
type Verdict string

// The verdicts.
const (
	Admitted Verdict = "admitted"
	Held     Verdict = "held"
	Refused  Verdict = "refused"
)

// Verdicts lists them.
func Verdicts() []Verdict { return []Verdict{Admitted, Held, Refused} }

// Verdict judges by findings. In ModeEnforce nobody waits for an approval, so what asks for one is refused.
func (t Terms) Verdict(found []Finding) Verdict {
	holds, denies := 0, 0
	for _, f := range found {
		switch f.Level {
		case Deny:
			denies++
		case Hold:
			holds++
		}
	}
	switch {
	case !t.Mode.Before():
		return Admitted
	case denies > 0, t.Mode == ModeEnforce && holds > 0:
		return Refused
	case t.Mode == ModeHold && (holds > 0 || t.Always):
		return Held
	default:
		return Admitted
	}
}

// Judgment is a whole review, with what came of it. Not to be changed.
type Judgment struct {
	Review   *Review
	Evidence Evidence
	Findings []Finding
	Verdict  Verdict
	Mode     Mode
	Guards   string // the revision of the guards that judged; empty where there were none
	Override string // why the candidate serves whatever the findings are; empty where nobody said so
	Trigger  string // what asked for the candidate
	Actor    string // who changed it, the best that is known
	At       time.Time
	Took     time.Duration
}

// Digest is that of the step: what an approval is bound to.
func (j *Judgment) Digest() string {
	base := ""
	if j.Review.Base != nil {
		base = j.Review.Base.Revision
	}
	return Digest(base, j.Review.Candidate.Revision, j.Guards)
}

// Levels counts the findings of each level.
func (j *Judgment) Levels() map[Level]int {
	counts := map[Level]int{}
	for _, level := range Levels() {
		counts[level] = 0
	}
	for _, f := range j.Findings {
		counts[f.Level]++
	}
	return counts
}

// Flips counts the recorded decisions that change, by kind; nil where none were replayed.
func (j *Judgment) Flips() map[FlipKind]int {
	if j.Evidence.Replay == nil {
		return nil
	}
	counts := map[FlipKind]int{}
	for _, kind := range FlipKinds() {
		counts[kind] = j.Evidence.Replay.Flips[kind]
	}
	return counts
}

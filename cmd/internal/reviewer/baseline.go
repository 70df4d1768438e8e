package reviewer

import (
	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/replay"
)

// answers are what one policy answers to the records that a process holds, by their numbers. They are of no use to another
// policy, and stay in the process: most records of a sidecar are older than the last change, and would be evaluated by base
// and candidate both.
type answers struct {
	revision string
	of       map[uint64]replay.Answer
	bytes    int
}

// maxAnswerBytes bounds what a process remembers of one policy, and maxAnswer one answer: a long one is evaluated again.
const maxAnswerBytes, maxAnswer = 16 << 20, 4 << 10

func (a *answers) put(id uint64, answer replay.Answer) {
	size := len(answer.Result) + len(answer.Failure)
	if size > maxAnswer || a.bytes+size > maxAnswerBytes {
		return
	}
	a.of[id] = answer
	a.bytes += size
}

// withBaseline has a replay of w go by what is known of its base, and returns what is known of its candidate, once the
// replay has ended. ids are the numbers of the records.
func withBaseline(w *Work, known []*answers, ids []uint64) *answers {
	now := &answers{revision: w.Candidate.Revision(), of: map[uint64]replay.Answer{}}
	w.OnAnswer = func(record int, a replay.Answer) { now.put(ids[record], a) }
	var base *answers
	for _, k := range known {
		if k != nil && w.Base != nil && k.revision == w.Base.Revision() {
			base = k
		}
	}
	if base == nil {
		return now
	}
	w.Baseline = func(record int) (replay.Answer, bool) {
		a, ok := base.of[ids[record]]
		return a, ok
	}
	// What the change cannot reach is answered as before.
	change, reaches := review.Of(w.Base, w.Candidate), map[string]bool{}
	for i := range w.Records {
		name := w.Records[i].Path
		yes, asked := reaches[name]
		if !asked {
			path, err := engine.ParsePath(name)
			yes = err != nil || change.Reaches(path)
			reaches[name] = yes
		}
		if a, ok := base.of[ids[i]]; ok && !yes {
			now.put(ids[i], a)
		}
	}
	return now
}

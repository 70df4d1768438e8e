package api

import "defenseclaw/engine/review"

// ReplayOf converts a replay. Lists and maps are never null.
func ReplayOf(r *review.Replay) *ReviewReplay { return replayOf(r) }

// Replay is what [ReplayOf] was made of.
func (w *ReviewReplay) Replay() *review.Replay {
	r := &review.Replay{
		Records: w.Records, Reached: w.Reached, Replayed: w.Replayed, NotReplayable: w.NotReplayable,
		Strata: w.Strata.All, StrataReplayed: w.Strata.Replayed, Flips: map[review.FlipKind]int{},
		Share: review.Share(w.Share), Unseen: w.Unseen, Confidence: review.Confidence(w.Confidence),
		Groups: convert(w.Groups, func(g ReviewGroup) review.Group {
			return review.Group{
				Path: g.Path, Kind: review.FlipKind(g.Kind), Cause: review.Cause(g.Cause), Count: g.Count,
				Examples: convert(g.Examples, func(f ReviewFlip) review.Flip { return f.flip() }),
			}
		}),
		Slower: convert(w.Slower, func(s ReviewSlower) review.Slower { return review.Slower(s) }),
	}
	for _, kind := range review.FlipKinds() {
		if n := w.Flips[string(kind)]; n > 0 {
			r.Flips[kind] = n
		}
	}
	return r
}

func (f *ReviewFlip) flip() review.Flip {
	flip := review.Flip{
		Path: f.Path, Kind: review.FlipKind(f.Kind), Input: f.Input, Before: f.Before, After: f.After,
		BeforeError: f.BeforeError, AfterError: f.AfterError, DecisionID: f.DecisionID,
	}
	if f.Time != nil {
		flip.Time = *f.Time
	}
	return flip
}

// ReplayAnswer is what a replay found, and of which policies. Base is null where the recorded answers spoke for it.
type ReplayAnswer struct {
	Base       *ReviewSide  `json:"base"`
	Candidate  ReviewSide   `json:"candidate"`
	Incomplete []string     `json:"incomplete"` // why something was not replayed
	Replay     ReviewReplay `json:"replay"`
}

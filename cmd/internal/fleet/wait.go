package fleet

import (
	"context"
	"errors"
)

// Wait waits until a record has converged, or no longer waiting can change that, and returns the verdict: see
// [Verdict.Converged]. The error is a [*Timeout] if ctx ends before, with the verdict until then, and a [*Beaten] if somebody moves the
// channel meanwhile.
func (l *Link) Wait(ctx context.Context, of Now, q Question, expect int) (Verdict, error) {
	q.Record = of.Record()
	var found Verdict
	err := l.Follow(ctx, of.Channel, func(v *View) (bool, error) {
		found = Judge(v, q)
		if found.Counts[Ahead] > 0 {
			now, err := l.Now(ctx, of.Channel, of.keys)
			if err != nil {
				return false, err
			}
			if now.Sequence != of.Sequence {
				return false, &Beaten{now}
			}
		}
		return found.Settled(expect), nil
	})
	if timeout := new(Timeout); errors.As(err, &timeout) {
		if found.Record == nil {
			found.Record = q.Record
		}
		return found, &Timeout{What: found.String()}
	}
	return found, err
}

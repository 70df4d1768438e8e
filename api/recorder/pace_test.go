package recorder

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestTheRecorderTakesNoMoreThanItsShareOfAProcessor works as fast as it may, on a clock that only this work moves.
func TestTheRecorderTakesNoMoreThanItsShareOfAProcessor(t *testing.T) {
	const piece, pieces = 3 * time.Millisecond, 500
	for _, share := range []float64{0.02, 0.25} {
		synctest.Test(t, func(t *testing.T) {
			p, begun := newPace(share), time.Now()
			for range pieces {
				time.Sleep(piece)
				if !p.wait(t.Context(), piece) {
					t.Fatal("its context has not ended")
				}
			}
			took, least := time.Since(begun), time.Duration(float64(pieces*piece-maxCredit)/share)
			if took < least || took > least+least/10+maxCredit {
				t.Errorf("%v of work at %v of a processor took %v, want about %v", pieces*piece, share, took, least)
			}
			time.Sleep(time.Hour) // what is saved up meanwhile is bounded
			quiet := time.Now()
			for range 2*int(maxCredit/piece) + 1 {
				p.wait(t.Context(), piece)
			}
			if waited := time.Since(quiet); waited < maxCredit {
				t.Errorf("after an hour without work, twice the credit was worked off with a pause of %v", waited)
			}
		})
	}
}

package recorder_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"defenseclaw/api/recorder"
)

// seeded chooses by a seed, so that a test says the same each time.
func seeded() func(n uint64) uint64 { return rand.New(rand.NewPCG(11, 12)).Uint64N }

func TestTheFirstEightAreTakenAndThenOneOfEachBlock(t *testing.T) {
	count := recorder.NewTally(seeded())
	var at, weights []uint64
	sum := uint64(0)
	for n := uint64(1); n <= 8192; n++ {
		if w := count(1, 3, true); w > 0 {
			at, weights, sum = append(at, n), append(weights, w), sum+w
		}
	}
	for i, n := range at[:8] {
		if n != uint64(i+1) || weights[i] != 1 {
			t.Errorf("the %d. is the %d. decision, of weight %d", i+1, n, weights[i])
		}
	}
	end := uint64(8)
	for i, n := range at[8:] {
		begin := end
		end += min(begin, 1024)
		if n <= begin || n > end || weights[8+i] != end-begin {
			t.Errorf("of %d to %d, the %d. was taken, of weight %d", begin+1, end, n, weights[8+i])
		}
	}
	if sum != 8192 || end != 8192 {
		t.Errorf("what was taken stands for %d decisions of %d", sum, end)
	}
}

// TestWeightsAreRightForTrafficWithARhythm asks in a rhythm of powers of two: what takes every 1,024th would see one kind only.
func TestWeightsAreRightForTrafficWithARhythm(t *testing.T) {
	random := seeded()
	const rounds, decisions = 400, 40_960
	var rare, all float64
	for range rounds {
		count := recorder.NewTally(random)
		for n := range decisions {
			w := float64(count(1, 3, true))
			if all += w; n%4 == 0 { // one of four has another branch, which the tally does not see
				rare += w
			}
		}
	}
	if got := rare / all; math.Abs(got-0.25) > 0.01 {
		t.Errorf("a quarter is estimated as %.4f", got)
	}
	if got := all / rounds / decisions; math.Abs(got-1) > 0.01 {
		t.Errorf("all are estimated as %.4f of them", got)
	}
}

func TestNewKindsAndPathsAreThinnedInAFlood(t *testing.T) {
	random := seeded()
	for name, key := range map[string]func(n uint64) (path, kind uint64){
		"results": func(n uint64) (uint64, uint64) { return 7, n*0x9e3779b97f4a7c15 | 1 },
		"paths":   func(n uint64) (uint64, uint64) { h := n*0x9e3779b97f4a7c15 | 1; return h, h },
	} {
		t.Run(name, func(t *testing.T) {
			count := recorder.NewTally(random)
			taken, sum := 0, uint64(0)
			const decisions = 1 << 20
			for n := range uint64(decisions) {
				path, kind := key(n + 1)
				if w := count(path, kind, name != "paths"); w > 0 {
					taken, sum = taken+1, sum+w
				}
			}
			if taken > 5000 {
				t.Errorf("%d of %d were taken", taken, decisions)
			}
			if got := float64(sum) / decisions; math.Abs(got-1) > 0.05 {
				t.Errorf("they stand for %.3f of all", got)
			}
			// What is asked after the flood, at a path that is defined, is taken like the first.
			if count(9, 11, true) != 1 {
				t.Error("the first decision of another path was not taken")
			}
		})
	}
}

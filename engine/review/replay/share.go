package replay

import "math"

// estimate is the share of flips, by strata: a stratum stands for what all its records stand for, however few of them were
// replayed.
type estimate struct {
	weight  float64 // of the strata of which something was replayed
	unknown float64 // of the others
	flips   float64
	done    float64 // the sum of the weights of what was replayed, and of their squares
	sq      float64
}

func (e *estimate) add(s *stratum) {
	if s.done == 0 {
		e.unknown += s.weight
		return
	}
	e.weight += s.weight
	e.flips += s.weight * s.flips / s.done
	e.done += s.done
	e.sq += s.sq
}

// z is the quantile of the normal distribution for an interval of 95 %.
const z = 1.959964

// share returns the part of all decisions that flip, with the interval that Wilson gives for as many decisions as the
// weights are worth. What the change cannot reach does not flip.
func (e *estimate) share(all float64) (flips, low, high float64) {
	if e.done == 0 || all == 0 {
		return 0, 0, 0
	}
	n, p := e.done*e.done/e.sq, e.flips/e.weight
	middle := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	reached := e.weight / all
	if p > 0 {
		low = max(0, middle-half) * reached
	}
	return p * reached, low, min(1, middle+half) * reached
}

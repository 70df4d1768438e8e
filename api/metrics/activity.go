package metrics

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

const (
	// ActivitySlot is the shortest part of the last hour that [Metrics.Activity] tells apart.
	ActivitySlot = 10 * time.Second
	// ActivityTime is how far back it goes.
	ActivityTime = time.Hour

	activitySlots = int64(ActivityTime/ActivitySlot) + 1 // and the one under way
	maxMarks      = 200
)

// Bucket is what decisions came to in a part of the last hour.
type Bucket struct {
	Start    time.Time
	Measured time.Duration // of it; less than its length while it lasts, and where the process started or stood still in it
	Latency  Latency
	Outcomes []Outcome // those that occurred, in the order of their names
}

// Outcome is how often decisions of a domain had a verdict, as the counter of evaluations names them.
type Outcome struct {
	Domain, Verdict string
	Decisions       uint64
}

// Mark is a change, or an attempt at one, of the policy that serves.
type Mark struct {
	At         time.Time
	Status     string // reloaded, held or failed
	Trigger    string
	Generation uint64 // that serves after it; 0: none
	Revision   string
}

// activity is the last hour of the counter of evaluations and the histogram of latencies. It reads both: nothing more is done
// for a decision than what a scrape needs. Its memory is bounded: about 200 kB after an hour.
type activity struct {
	reader sdkmetric.Reader
	series []seriesOf // of the counter, in the order of slot.outcomes

	mu      sync.Mutex // guards what follows; no decision takes it
	at      time.Time  // of the last sample
	latency Latency    // at that time
	counts  []uint32   // the same; the low bits are enough for a difference
	slots   [activitySlots]slot
	marks   []Mark
	all     metricdata.ResourceMetrics // used again
}

type seriesOf struct {
	domain, verdict string
	count           *series
}

// slot is one of the parts. Its number is its place in all of time; the slot is that of another hour where it does not fit.
type slot struct {
	number   int64
	measured time.Duration
	latency  Latency
	outcomes []uint32
}

func newActivity(reader sdkmetric.Reader, evaluations *vec, now time.Time) *activity {
	a := &activity{reader: reader, at: now}
	for _, key := range slices.SortedFunc(maps.Keys(evaluations.resolved), func(x, y labelValues) int { return slices.Compare(x[:], y[:]) }) {
		a.series = append(a.series, seriesOf{key[0], key[1], evaluations.resolved[key]})
	}
	a.counts = make([]uint32, len(a.series))
	return a
}

// MarkReload remembers an attempt for [Metrics.Activity].
func (m *Metrics) MarkReload(mark Mark) {
	a := m.activity
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.marks) == maxMarks {
		a.marks = slices.Delete(a.marks, 0, 1)
	}
	a.marks = append(a.marks, mark)
}

// Activity returns the last hour up to now in parts of a length that is a multiple of [ActivitySlot] and divides an hour, the
// oldest first, and the attempts to change the policy in it. A part in which the process did not run is left out. It takes
// about as long as a scrape, and no decision waits for it.
func (m *Metrics) Activity(step time.Duration) (parts []Bucket, marks []Mark) {
	a := m.activity
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.sample(now)
	newest := slotOf(now)
	for n := newest - activitySlots + 1; n <= newest; n++ {
		s := &a.slots[n%activitySlots]
		if s.number != n || s.measured == 0 {
			continue
		}
		start := time.Unix(0, n*int64(ActivitySlot)).UTC().Truncate(step)
		if len(parts) == 0 || parts[len(parts)-1].Start != start {
			parts = append(parts, Bucket{Start: start})
		}
		a.addTo(&parts[len(parts)-1], s)
	}
	for _, mark := range a.marks {
		if mark.At.After(now.Add(-ActivityTime)) && !mark.At.After(now) {
			marks = append(marks, mark)
		}
	}
	return parts, marks
}

func (a *activity) addTo(b *Bucket, s *slot) {
	b.Measured += s.measured
	b.Latency = b.Latency.plus(s.latency)
	for i, n := range s.outcomes {
		if n == 0 {
			continue
		}
		one := Outcome{a.series[i].domain, a.series[i].verdict, uint64(n)}
		at, found := slices.BinarySearchFunc(b.Outcomes, one, func(x, y Outcome) int {
			return cmp.Or(cmp.Compare(x.Domain, y.Domain), cmp.Compare(x.Verdict, y.Verdict))
		})
		if found {
			b.Outcomes[at].Decisions += one.Decisions
		} else {
			b.Outcomes = slices.Insert(b.Outcomes, at, one)
		}
	}
}

// run samples as long as ctx lasts, at the end of each slot.
func (a *activity) run(ctx context.Context) {
	for {
		rest := ActivitySlot - time.Duration(time.Now().UnixNano()%int64(ActivitySlot))
		timer := time.NewTimer(rest)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			a.mu.Lock()
			a.sample(time.Now())
			a.mu.Unlock()
		}
	}
}

// sample puts what happened since the last sample into the slot in which most of that time lies. The caller holds the mutex.
func (a *activity) sample(now time.Time) {
	latency, err := a.read()
	if err != nil {
		return // the exports have ended, and the process is about to
	}
	elapsed, wall := now.Sub(a.at), now.Round(0).Sub(a.at.Round(0))
	if wall < 0 { // somebody set the clock back: what is ahead of it now was before
		for i := range a.slots {
			if a.slots[i].number > slotOf(now) {
				a.slots[i] = slot{}
			}
		}
	}
	n, measured := slotOf(now.Add(-elapsed/2)), elapsed
	if stood := max(elapsed, wall) > 2*ActivitySlot; stood || wall < 0 {
		n, measured = slotOf(now), min(elapsed, ActivitySlot)
	}
	s := &a.slots[n%activitySlots]
	if s.number != n {
		outcomes := s.outcomes
		clear(outcomes)
		*s = slot{number: n, outcomes: outcomes}
	}
	if s.outcomes == nil {
		s.outcomes = make([]uint32, len(a.series))
	}
	s.measured += measured
	s.latency = s.latency.plus(latency.Since(a.latency))
	for i, one := range a.series {
		count := uint32(one.count.count.Load()) //nolint:gosec // see counts
		s.outcomes[i] += count - a.counts[i]
		a.counts[i] = count
	}
	a.at, a.latency = now, latency
}

// slotOf is the number of the slot that a time is in.
func slotOf(at time.Time) int64 { return at.UnixNano() / int64(ActivitySlot) }

// read reads the histogram. The caller holds the mutex.
func (a *activity) read() (Latency, error) {
	if err := a.reader.Collect(context.Background(), &a.all); err != nil {
		return Latency{}, err
	}
	return latencyIn(&a.all), nil
}

package observe

import (
	"slices"
	"time"

	"defenseclaw/cmd/internal/fleet"
)

// The length of what is remembered.
const (
	minutes = 60
	columns = 8 // revisions of a minute that are told apart
)

// Minute is what agents served at its end, or what they serve now.
type Minute struct {
	Until  time.Time
	Known  bool          // the broker answered in it
	Serve  []fleet.Count // the most frequent revisions first, without agents that are silent; not to be changed
	Others int           // agents that serve other revisions
	Silent int           // agents that were not heard of for too long
}

// hour are the newest minutes. Its size does not depend on the number of agents. For one goroutine.
type hour struct {
	first time.Time           // the minute of the first reading
	ring  [minutes + 1]Minute // by the number of the minute
}

func number(minute time.Time) int64 { return minute.Unix() / int64(time.Minute/time.Second) }

// put notes what agents serve, in place of what was noted in the same minute.
func (h *hour) put(at time.Time, agents []fleet.Judged, lostAfter time.Duration) {
	minute := at.Truncate(time.Minute)
	if h.first.IsZero() || minute.Before(h.first) { // the clock was set back: what was noted is of another time
		*h = hour{first: minute}
	}
	serve, silent := map[string]int{}, 0
	for _, a := range agents {
		if a.Silent >= lostAfter {
			silent++
			continue
		}
		serve[a.Serves]++
	}
	m := Minute{Until: minute.Add(time.Minute), Known: true, Silent: silent, Serve: fleet.Counts(serve)}
	if len(m.Serve) > columns {
		for _, one := range m.Serve[columns:] {
			m.Others += one.Agents
		}
		m.Serve = slices.Clone(m.Serve[:columns])
	}
	h.ring[number(minute)%int64(len(h.ring))] = m
}

// until lists the minutes up to now, the oldest first: those of the last hour, from the first reading on.
func (h *hour) until(now time.Time) []Minute {
	if h.first.IsZero() {
		return nil
	}
	end := now.Truncate(time.Minute)
	begin := end.Add(-minutes * time.Minute)
	if begin.Before(h.first) {
		begin = h.first
	}
	var all []Minute
	for minute := begin; !minute.After(end); minute = minute.Add(time.Minute) {
		m := h.ring[number(minute)%int64(len(h.ring))]
		if until := minute.Add(time.Minute); !m.Until.Equal(until) {
			m = Minute{Until: until}
		}
		all = append(all, m)
	}
	return all
}

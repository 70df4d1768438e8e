package probe

import (
	"maps"
	"slices"
)

// learn notes the outcomes of conditions, and reports whether one is new, and whether rules differ.
func (s *search) learn(watches [2]*watch) (ill, novel bool) {
	for _, w := range watches {
		for _, site := range w.sites {
			if site.truth == 0 {
				continue
			}
			if o := (outcome{site.key, site.truth}); !s.covered[o] {
				s.covered[o] = true
				novel = true
			}
			if s.shows(site) {
				novel = true
			}
		}
		for c := range w.combos {
			if key := c*2 + uint64(w.side); !s.combos[key] { //nolint:gosec // 0 or 1
				s.combos[key] = true
				novel = true
			}
		}
	}
	sick := uint64(0)
	for name, h := range watches[base].rules {
		if other, ok := watches[candidate].rules[name]; !ok || other != h {
			sick += hashText(name)
		}
	}
	for name := range watches[candidate].rules {
		if _, ok := watches[base].rules[name]; !ok {
			sick += hashText(name) * 3
		}
	}
	if sick != 0 && !s.ill[sick] {
		s.ill[sick] = true
		novel = true
	}
	return sick != 0, novel
}

func hashText(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

const (
	maxOfSite  = 4  // evaluations of one condition by one input that are followed
	maxCrossed = 3  // kept inputs that a new one is crossed with
	maxGoals   = 60 // edits by one evaluation of a condition
)

// keep queues what an input leads to.
func (s *search) keep(t *target, input any, watches [2]*watch, ill bool) {
	made := map[string]bool{}
	for _, w := range watches {
		count := map[siteKey]int{}
		for _, site := range w.sites {
			if count[site.key]++; count[site.key] > maxOfSite {
				continue
			}
			s.follow(t, input, w, site, ill, made)
		}
	}
	s.cross(t, input)
	s.grow(t, input)
	s.pool = append(s.pool, kept{t, input})
}

func (s *search) follow(t *target, input any, w *watch, site *site, ill bool, made map[string]bool) {
	goals := w.goalsOf(site, s.known)
	unseen := site.truth != 0 && !s.covered[outcome{site.key, -site.truth}]
	for _, g := range slices.Backward(goals[:min(len(goals), maxGoals)]) { // the first is the newest in its queue
		key := g.at.key() + "\x00" + editText(g.value)
		if made[key] {
			continue
		}
		made[key] = true
		q := followOther
		switch {
		case site.changed && unseen && g.turn:
			q = turnChanged
		case site.changed:
			q = followChanged
		case unseen && g.turn:
			q = turnOther
		}
		it := item{t, input, []edit{g.edit}}
		s.push(q, it)
		if ill && q != turnChanged {
			s.push(infected, it)
		}
	}
}

func editText(v any) string {
	if _, gone := v.(absent); gone {
		return "\x00gone"
	}
	return textOf(v)
}

// cross combines an input with others that were kept for the same target.
func (s *search) cross(t *target, input any) {
	root, ok := input.(map[string]any)
	if !ok {
		return
	}
	var same []map[string]any
	for _, k := range s.pool {
		if other, ok := k.input.(map[string]any); ok && k.target == t {
			same = append(same, other)
		}
	}
	for range min(maxCrossed, len(same)) {
		other := same[s.random.IntN(len(same))]
		merged := maps.Clone(root)
		maps.Copy(merged, other)
		s.push(mix, item{t, merged, nil})
		for _, k := range slices.Sorted(maps.Keys(other)) {
			if textOf(other[k]) != textOf(root[k]) {
				s.push(mix, item{t, input, []edit{{place{k}, other[k]}}})
			}
		}
	}
}

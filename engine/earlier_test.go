package engine

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"defenseclaw/engine/source"
)

func TestWhatATriggerMayTakeFromTheReadingBefore(t *testing.T) {
	g := &Generation{reading: &source.Reading{}}
	for name, tt := range map[string]struct {
		trigger       Trigger
		reuses        bool
		changed, dirs string
	}{
		"watch":          {Trigger{Kind: TriggerWatch, Paths: []string{"a/p.rego", "q.rego"}}, true, "a/p.rego q.rego", ". a"},
		"poll":           {Trigger{Kind: TriggerPoll, Paths: []string{"q.rego"}}, true, "q.rego", "-"},
		"a full check":   {Trigger{Kind: TriggerPoll, Recheck: true}, false, "-", "-"},
		"another source": {Trigger{Kind: TriggerWatch, Source: &source.Dir{}}, false, "-", "-"},
		"start":          {Trigger{Kind: TriggerStartup}, false, "-", "-"},
		"signal":         {Trigger{Kind: TriggerSignal}, false, "-", "-"},
		"API":            {Trigger{Kind: TriggerAPI}, false, "-", "-"},
	} {
		e := earlier(tt.trigger, g)
		if (e.Reading == g.reading) != tt.reuses || e.Previous != g.reading {
			t.Errorf("%s: %+v", name, e)
		}
		if got := names(e.Changed); got != tt.changed {
			t.Errorf("%s: changed %s; want %s", name, got, tt.changed)
		}
		if got := names(e.ChangedDirs); got != tt.dirs {
			t.Errorf("%s: directories %s; want %s", name, got, tt.dirs)
		}
		if e := earlier(tt.trigger, nil); e.Reading != nil || e.Previous != nil {
			t.Errorf("%s: the first load takes %+v", name, e)
		}
	}
}

func names(set map[string]bool) string {
	if set == nil {
		return "-"
	}
	return strings.Join(slices.Sorted(maps.Keys(set)), " ")
}

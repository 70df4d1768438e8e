package probe

import (
	"encoding/json"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

func wantTime(w *watch, o *origin, value any, depth int) []edit {
	ns, err := json.Number(textOf(value)).Int64()
	if err != nil {
		f, ok := floatOf(value)
		if !ok {
			return nil
		}
		ns = int64(f)
	}
	return w.operandOf(o, 0, time.Unix(0, ns).UTC().Format(time.RFC3339Nano), depth)
}

// momentOf is the time that a call of the family of time.clock was given.
func momentOf(o *origin) (time.Time, bool) {
	v := valueOf(o.args[0])
	if list, ok := v.(*ast.Array); ok && list.Len() > 0 {
		v = list.Elem(0).Value
	}
	n, ok := v.(ast.Number)
	if !ok {
		return time.Time{}, false
	}
	ns, ok := n.Int64()
	return time.Unix(0, ns).UTC(), ok
}

func (w *watch) wantMoment(o *origin, t time.Time, depth int) []edit {
	value := json.Number(textOf(t.UnixNano()))
	if o.args[0].from != nil {
		return w.want(o.args[0].from, value, depth)
	}
	if list, ok := valueOf(o.args[0]).(*ast.Array); ok && list.Len() > 0 {
		return w.want(w.originOf(list.Elem(0)), value, depth)
	}
	return nil
}

func numbersOf(value any) (all []int) {
	list, _ := value.([]any)
	for _, e := range list {
		f, _ := floatOf(e)
		all = append(all, int(f))
	}
	return all
}

func wantClock(w *watch, o *origin, value any, depth int) []edit {
	t, ok := momentOf(o)
	n := numbersOf(value)
	if !ok || len(n) != 3 {
		return nil
	}
	return w.wantMoment(o, time.Date(t.Year(), t.Month(), t.Day(), n[0], n[1], n[2], 0, time.UTC), depth)
}

func wantDate(w *watch, o *origin, value any, depth int) []edit {
	t, ok := momentOf(o)
	n := numbersOf(value)
	if !ok || len(n) != 3 {
		return nil
	}
	return w.wantMoment(o, time.Date(n[0], time.Month(n[1]), n[2], t.Hour(), t.Minute(), t.Second(), 0, time.UTC), depth)
}

func wantWeekday(w *watch, o *origin, value any, depth int) []edit {
	t, ok := momentOf(o)
	name, isText := value.(string)
	if !ok || !isText {
		return nil
	}
	for i := range 7 {
		if day := t.AddDate(0, 0, i); day.Weekday().String() == name {
			return w.wantMoment(o, day, depth)
		}
	}
	return nil
}

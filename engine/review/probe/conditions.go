package probe

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

func ordered(_ *watch, s *site, k *known, turn, _ push) {
	for i := range 2 {
		a, b := s.args[i], s.args[1-i]
		if a.from == nil || b.term == nil {
			continue
		}
		v, ok := plain(b.term.Value)
		if !ok {
			continue
		}
		k.compared(a.from, v)
		turn(a, v)
		if f, ok := floatOf(v); ok {
			turn(a, number(f+1), number(f-1))
			for _, c := range k.delta {
				if g, ok := floatOf(c); ok {
					turn(a, number(g), number(g+1), number(g-1), number((f+g)/2))
				}
			}
			if i == 0 {
				turn(a, number(f+0.5), number(0), number(-1), "1")
			}
		} else {
			turn(a, near(v)...)
		}
	}
}

// separators are what a text is cut at, and an affix that ends there or does not.
const separators = "/.:@-_ "

func affix(_ *watch, s *site, k *known, turn, edge push) {
	text, part := s.args[0], s.args[1]
	if part.from != nil {
		if v, ok := textValue(text); ok {
			turn(part, v, v[:len(v)/2], v[len(v)/2:], "", v+"x")
		}
	}
	p, ok := textValue(part)
	if text.from == nil || !ok {
		return
	}
	k.compared(text.from, p)
	bare := strings.Trim(p, separators)
	now, _ := textValue(text)
	switch s.op {
	case "startswith":
		turn(text, p, p+"x", p+"/x", p+now)
		edge(text, "x"+p, bare, bare+"x", strings.ToUpper(p)+"x", p+"/../x", bare+"-x", p+"1")
	case "endswith":
		turn(text, p, "x"+p, now+p)
		edge(text, p+"x", bare, "x"+bare, "x"+strings.ToUpper(p), "x."+bare, "a.b"+p)
	default:
		turn(text, p, "x"+p+"x", "x"+bare+"x", now+p, p+now)
		edge(text, strings.ToUpper(p), bare, p+p)
	}
	turn(text, "zz-none")
	turn(text, k.others(text.from, 6)...)
}

func matched(_ *watch, s *site, k *known, turn, edge push) {
	pattern, ok := textValue(s.args[0])
	if !ok || s.args[1].from == nil {
		return
	}
	samples := samplesOfRegex(pattern)
	for _, sample := range samples {
		turn(s.args[1], sample)
	}
	for _, sample := range samples[:min(len(samples), 3)] {
		edge(s.args[1], sample+"x", "x"+sample, sample+"/x", strings.ToUpper(sample), sample+"\n", sample+" ", sample+"0")
	}
	turn(s.args[1], "zz none")
	turn(s.args[1], k.others(s.args[1].from, 6)...)
}

func found(_ *watch, s *site, _ *known, turn, _ push) {
	pattern, ok := textValue(s.args[0])
	if !ok || s.args[1].from == nil {
		return
	}
	for _, sample := range samplesOfRegex(pattern) {
		turn(s.args[1], sample)
	}
}

func globbed(_ *watch, s *site, k *known, turn, edge push) {
	pattern, ok := textValue(s.args[0])
	if !ok || len(s.args) < 3 {
		return
	}
	var cut []string
	if list, isList := valueOf(s.args[1]).(*ast.Array); isList {
		cut = texts(list)
		if list.Len() == 0 {
			cut = []string{"."}
		}
	}
	samples := samplesOfGlob(pattern, cut)
	for _, sample := range samples {
		turn(s.args[2], sample)
	}
	for _, sample := range samples[:min(len(samples), 2)] {
		edge(s.args[2], sample+"x", "x"+sample, strings.ToUpper(sample))
		for _, c := range cut {
			edge(s.args[2], sample+c+"x", "x"+c+sample)
		}
	}
	turn(s.args[2], "zz-none")
	turn(s.args[2], k.others(s.args[2].from, 6)...)
}

func networked(_ *watch, s *site, k *known, turn, _ push) {
	for i := range 2 {
		text, ok := textValue(s.args[i])
		if !ok || s.args[1-i].from == nil {
			continue
		}
		inside, outside := samplesOfCIDR(text)
		for _, a := range append(inside, outside...) {
			turn(s.args[1-i], a)
		}
		for _, c := range k.delta {
			if text, ok := c.(string); ok {
				inside, outside := samplesOfCIDR(text)
				for _, a := range append(inside, outside...) {
					turn(s.args[1-i], a)
				}
			}
		}
	}
}

func kinds(op string, o operand, turn push) {
	samples := map[string]any{
		"is_string": "x", "is_number": number(1), "is_boolean": true, "is_array": []any{}, "is_object": map[string]any{}, "is_null": nil,
	}
	for _, name := range []string{"is_string", "is_number", "is_object", "is_array", "is_boolean", "is_null"} {
		if name == op {
			turn(o, samples[name])
		}
	}
	turn(o, number(7), absent{})
	if op == "is_number" {
		turn(o, "x")
	}
}

// sets grows a set that was made of the input by what the other has.
func sets(w *watch, s *site, _ *known, turn, _ push) {
	if len(s.args) < 2 {
		return
	}
	for i := range 2 {
		a, b := s.args[i], s.args[1-i]
		if a.term == nil || b.term == nil {
			continue
		}
		others := elementsOf(b.term.Value)
		for j, t := range elementsOf(a.term.Value) {
			from := w.originOf(t)
			if from == nil || j > 4 {
				continue
			}
			for n, o := range others {
				if v, ok := plain(o.Value); ok && n < 6 {
					turn(operand{t, from}, v)
				}
			}
			turn(operand{t, from}, "zz-none")
		}
	}
}

package own

import (
	"slices"
	"strconv"
	"strings"

	"defenseclaw/engine/internal/eval/plan/value"
)

var formats = map[string]Builtin{
	"concat":                   concat,
	"sprintf":                  sprintf,
	"internal.template_string": templateString,
	"json.marshal":             jsonMarshal,
}

func concat(c *Call, x []*value.Node) *value.Node {
	if len(x) != 2 || x[0].Kind() != value.String || !isTexts(x[1]) || x[1].Kind() == value.String || !c.takes(x[1]) {
		return nil
	}
	by, list := x[0].Text(), x[1]
	list.Sort()
	total := len(by) * list.Len()
	for i := range list.Len() {
		total += len(list.Elem(i).Text())
	}
	if total > maxBytes || !c.spend(total/8) {
		return nil
	}
	switch list.Len() {
	case 0:
		return c.arena.String("")
	case 1:
		return list.Elem(0)
	}
	c.text = slices.Grow(c.text[:0], total)
	for i := range list.Len() {
		if i > 0 {
			c.text = append(c.text, by...)
		}
		c.text = append(c.text, list.Elem(i).Text()...)
	}
	return c.written()
}

// The formats that are taken. OPA's has a limit here for what a format may make, by its verbs, by the longest operand times
// ten, and by each number and star in it; these stay below.
const (
	maxVerbs  = 16
	maxDigits = 40
	maxStars  = 2
	maxFormat = 1 << 12
)

func plainFormat(format string) bool {
	verbs, digits, stars := 0, 0, 0
	for i := range len(format) {
		switch c := format[i]; {
		case c == '%':
			verbs++
		case c == '*':
			stars++
		case '0' <= c && c <= '9':
			digits++
		}
	}
	return verbs <= maxVerbs && digits <= maxDigits && stars <= maxStars && len(format) <= maxFormat
}

// sprintf takes formats with the plain verbs %v, %s and %d, each with an operand of its kind, and as many as there are
// operands. Package fmt writes of all others what is wrong with them.
func sprintf(c *Call, x []*value.Node) *value.Node {
	if len(x) != 2 || x[0].Kind() != value.String || x[1].Kind() != value.Array || x[1].Len() > maxVerbs || !plainFormat(x[0].Text()) {
		return nil
	}
	format, used := x[0].Text(), 0
	c.text = c.text[:0]
	for {
		plain, rest, more := strings.Cut(format, "%")
		c.text = append(c.text, plain...)
		if !more {
			break
		}
		if rest == "" || rest[0] != '%' && used == x[1].Len() {
			return nil
		}
		if rest[0] == '%' {
			c.text = append(c.text, '%')
		} else {
			if !c.verb(rest[0], x[1].Elem(used)) {
				return nil
			}
			used++
		}
		format = rest[1:]
	}
	if used != x[1].Len() {
		return nil
	}
	return c.written()
}

// written is the text that was written.
func (c *Call) written() *value.Node {
	c.arena.Count(len(c.text)) // where it was written
	return c.made(string(c.text))
}

// verb writes an operand, and returns false where it does not write it as package fmt would.
func (c *Call) verb(verb byte, x *value.Node) bool {
	switch i, isInt := x.PlainInt(); {
	case isInt && (verb == 'd' || verb == 'v'):
		c.text = strconv.AppendInt(c.text, i, 10)
		return true
	case x.Kind() == value.Number || verb != 'v' && verb != 's':
		return false
	default:
		return c.write(x)
	}
}

// write writes a value as it is written in a policy, but a text as it is; false is for one that is large.
func (c *Call) write(x *value.Node) bool {
	if !c.within(x) {
		return false
	}
	switch i, isInt := x.PlainInt(); {
	case x.Kind() == value.String:
		c.text = append(c.text, x.Text()...)
	case isInt:
		c.text = strconv.AppendInt(c.text, i, 10)
	default:
		c.text = append(c.text, x.Term().Value.String()...)
	}
	return true
}

// templateString takes parts of which each has one value, or is undefined.
func templateString(c *Call, x []*value.Node) *value.Node {
	if len(x) != 1 || x[0].Kind() != value.Array || !c.within(x[0]) {
		return nil
	}
	c.text = c.text[:0]
	for i := range x[0].Len() {
		part := x[0].Elem(i)
		switch kind := part.Kind(); {
		case kind == value.Set && part.Len() == 0:
			c.text = append(c.text, "<undefined>"...)
			continue
		case kind == value.Set && part.Len() == 1:
			part = part.Elem(0)
		case kind >= value.Array:
			return nil
		}
		if !c.write(part) {
			return nil
		}
	}
	return c.written()
}

func jsonMarshal(c *Call, x []*value.Node) *value.Node {
	if len(x) != 1 || !c.within(x[0]) {
		return nil
	}
	text, err := x[0].AppendJSON(c.text[:0], maxBytes)
	if err != nil {
		return nil
	}
	c.text = text
	return c.written()
}

// sorted takes lists in which equal elements are the same, so that it does not show in which order they come.
func sorted(c *Call, x []*value.Node) *value.Node {
	if len(x) != 1 || !isList(x[0]) || !c.takes(x[0]) {
		return nil
	}
	const perItem = 16 // comparisons in a list of that length, about
	if !c.spend(perItem * x[0].Len()) {
		return nil
	}
	list := c.arena.Empty(value.Array, x[0].Len())
	order, bytes := make([]*value.Node, 0, x[0].Len()), 0
	for i := range x[0].Len() {
		e := x[0].Elem(i)
		if bytes += len(e.Text()); !e.Exact() || bytes > maxBytes {
			return nil
		}
		order = append(order, e)
	}
	slices.SortFunc(order, value.Compare)
	for _, e := range order {
		list.Append(e)
	}
	return list
}

package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// rules are a JSON Schema, of the words that the schema of the default pack has and no others: [compile] refuses it with
// more. A library of all words compiles every draft's schema of schemas when a process starts, which takes longer than
// all else before the policy is read, and is most of a megabyte of the program. The tests compare with one.
type rules struct {
	Schema     string            `json:"$schema"`
	Title      string            `json:"title"`
	Ref        string            `json:"$ref"`
	Defs       map[string]*rules `json:"$defs"`
	Type       string            `json:"type"`
	Enum       []string          `json:"enum"`
	Required   []string          `json:"required"`
	Properties map[string]*rules `json:"properties"`
	Additional json.RawMessage   `json:"additionalProperties"` // false, or the rules of all other members
	Items      *rules            `json:"items"`
	Minimum    json.Number       `json:"minimum"`
	Maximum    json.Number       `json:"maximum"`

	ref, others      *rules // what Ref and Additional say
	closed           bool   // there may be no other members
	minimum, maximum *big.Rat
}

// compile reads a schema. References are to what "$defs" of the whole has.
func compile(text []byte) (*rules, error) {
	whole, err := parse(text)
	if err != nil {
		return nil, err
	}
	return whole, whole.resolve(whole.Defs)
}

func parse(text []byte) (*rules, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	r := &rules{}
	return r, decoder.Decode(r)
}

func (r *rules) resolve(defs map[string]*rules) (err error) {
	if r.Ref != "" {
		name, local := strings.CutPrefix(r.Ref, "#/$defs/")
		if r.ref = defs[name]; !local || r.ref == nil {
			return fmt.Errorf("$ref %q: expected #/$defs/ and a name that is there", r.Ref)
		}
	}
	switch r.Type {
	case "", "object", "array", "string", "boolean", "number", "integer", "null":
	default:
		return fmt.Errorf("there is no type %q", r.Type)
	}
	if r.closed = string(r.Additional) == "false"; len(r.Additional) > 0 && !r.closed {
		if r.others, err = parse(r.Additional); err != nil {
			return err
		}
	}
	if r.minimum, err = bound(r.Minimum); err != nil {
		return err
	}
	if r.maximum, err = bound(r.Maximum); err != nil {
		return err
	}
	for _, inner := range slices.Concat(slices.Collect(maps.Values(r.Properties)), slices.Collect(maps.Values(r.Defs)), []*rules{r.others, r.Items}) {
		if inner == nil {
			continue
		}
		if err := inner.resolve(defs); err != nil {
			return err
		}
	}
	return nil
}

func bound(number json.Number) (*big.Rat, error) {
	if number == "" {
		return nil, nil //nolint:nilnil // none is set
	}
	n, ok := new(big.Rat).SetString(number.String())
	if !ok {
		return nil, fmt.Errorf("%s is too large a bound", number)
	}
	return n, nil
}

// mistake is a value that is not as the rules say.
type mistake struct {
	at      []string // the names and numbers that lead to the value
	missing []string // the members that it lacks, where this is what is wrong
	text    string   // what else is wrong
}

func (m mistake) String() string {
	switch len(m.missing) {
	case 0:
		return m.text
	case 1:
		return "missing property " + quoted(m.missing)
	default:
		return "missing properties " + quoted(m.missing)
	}
}

// mistakes are all that is wrong with a value, as [ast.JSON] makes them: numbers are of type json.Number.
func (r *rules) mistakes(v any) (found []mistake) {
	r.check(v, nil, func(m mistake) { found = append(found, m) })
	return found
}

func (r *rules) check(v any, at []string, found func(mistake)) {
	wrong := func(format string, args ...any) {
		found(mistake{at: slices.Clone(at), text: fmt.Sprintf(format, args...)})
	}
	if got := typeOf(v); r.Type != "" && got != r.Type && (r.Type != "integer" || !isInteger(v)) {
		wrong("got %s, want %s", got, r.Type)
		return
	}
	if text, ok := v.(string); len(r.Enum) > 0 && (!ok || !slices.Contains(r.Enum, text)) {
		wrong("value must be one of %s", quoted(r.Enum))
		return
	}
	if r.ref != nil {
		r.ref.check(v, at, found)
	}
	switch v := v.(type) {
	case map[string]any:
		r.checkMembers(v, at, found)
	case []any:
		for i := 0; r.Items != nil && i < len(v); i++ {
			r.Items.check(v[i], append(at, strconv.Itoa(i)), found)
		}
	case json.Number:
		n, ok := new(big.Rat).SetString(v.String())
		if ok && r.minimum != nil && n.Cmp(r.minimum) < 0 {
			wrong("minimum: got %s, want %s", grouped(v), grouped(r.Minimum))
		}
		if ok && r.maximum != nil && n.Cmp(r.maximum) > 0 {
			wrong("maximum: got %s, want %s", grouped(v), grouped(r.Maximum))
		}
	}
}

func (r *rules) checkMembers(v map[string]any, at []string, found func(mistake)) {
	lacks := func(name string) bool { _, has := v[name]; return !has }
	if missing := slices.DeleteFunc(slices.Clone(r.Required), func(name string) bool { return !lacks(name) }); len(missing) > 0 {
		found(mistake{at: slices.Clone(at), missing: missing})
	}
	var more []string
	for _, name := range slices.Sorted(maps.Keys(v)) {
		inner := r.Properties[name]
		if inner == nil {
			inner = r.others
			if r.closed {
				more = append(more, name)
			}
		}
		if inner != nil {
			inner.check(v[name], append(at, name), found)
		}
	}
	if len(more) > 0 {
		found(mistake{at: slices.Clone(at), text: "additional properties " + quoted(more) + " not allowed"})
	}
}

func typeOf(v any) string {
	switch v.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	default:
		return "null"
	}
}

// isInteger is true of 1.0 too, as JSON Schema has it.
func isInteger(v any) bool {
	number, ok := v.(json.Number)
	if !ok {
		return false
	}
	n, ok := new(big.Rat).SetString(number.String())
	return ok && n.IsInt()
}

// quoted names the names in single quotes, whatever is in them.
func quoted(names []string) string {
	list := make([]string, len(names))
	for i, name := range names {
		text := strconv.Quote(name)
		list[i] = "'" + strings.NewReplacer(`\"`, `"`, `'`, `\'`).Replace(text[1:len(text)-1]) + "'"
	}
	return strings.Join(list, ", ")
}

// grouped is a number with a comma between thousands, if it is written in digits alone.
func grouped(number json.Number) string {
	digits, negative := strings.CutPrefix(number.String(), "-")
	if strings.Trim(digits, "0123456789") != "" {
		return number.String()
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	if negative {
		return "-" + digits
	}
	return digits
}

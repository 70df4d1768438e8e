package builtins

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// stringOf is the string that an operand is; empty for anything else, of which OPA complains.
func stringOf(operands []*ast.Term, i int) string {
	if i >= len(operands) {
		return ""
	}
	s, _ := operands[i].Value.(ast.String)
	return string(s)
}

// guardConcat counts the text that concat makes.
func guardConcat(_ topdown.BuiltinContext, operands []*ast.Term) error {
	total := len(stringOf(operands, 0)) * max(0, lenOf(operands[1].Value)-1)
	each(operands[1].Value, func(t *ast.Term) {
		if s, ok := t.Value.(ast.String); ok {
			total += len(s)
		}
	})
	if total > MaxBytes {
		return tooLarge("the result", "bytes", MaxBytes)
	}
	return nil
}

// guardSplit bounds the parts.
func guardSplit(_ topdown.BuiltinContext, operands []*ast.Term) error {
	text, separator := stringOf(operands, 0), stringOf(operands, 1)
	if len(text) > MaxValues && strings.Count(text, separator) > MaxValues {
		return tooLarge("the result", "items", MaxValues)
	}
	return nil
}

// guardTrim bounds the comparisons of each rune with each rune of a cutset that is not ASCII.
func guardTrim(_ topdown.BuiltinContext, operands []*ast.Term) error {
	text, cutset := stringOf(operands, 0), stringOf(operands, 1)
	if len(text)*len(cutset) > MaxSteps {
		return tooLarge("the text times the cutset", "bytes", MaxSteps)
	}
	return nil
}

func guardReplace(_ topdown.BuiltinContext, operands []*ast.Term) error {
	text, old, value := stringOf(operands, 0), stringOf(operands, 1), stringOf(operands, 2)
	if len(text) > MaxBytes {
		return tooLarge("an operand", "bytes", MaxBytes)
	}
	if err := searchFits(text, len(old)); err != nil {
		return err
	}
	if (len(text)+1)*(len(value)+1) > MaxBytes && len(text)+strings.Count(text, old)*(len(value)-len(old)) > MaxBytes {
		return tooLarge("the result", "bytes", MaxBytes)
	}
	return nil
}

// maxSearched bounds a text that strings.Replacer looks for: it prepares in the square of the length.
const maxSearched = 16 << 10

func searchFits(text string, longest int) error {
	if longest > maxSearched {
		return tooLarge("the text to replace", "bytes", maxSearched)
	}
	if longest*len(text) > MaxSteps {
		return tooLarge("the text times what it looks for", "bytes", MaxSteps)
	}
	return nil
}

// maxReplaced bounds the texts that strings.replace_n looks for: a table of 256 pointers for each is built.
const maxReplaced = 1 << 14

func guardReplaceN(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	if err := small(bctx, operands); err != nil {
		return err
	}
	patterns, ok := operands[0].Value.(ast.Object)
	if !ok {
		return nil
	}
	if patterns.Len() > maxReplaced {
		return tooLarge("the operand", "patterns", maxReplaced)
	}
	text := stringOf(operands, 1)
	var pairs []string
	longestOld, longest := 0, 0
	for _, key := range patterns.Keys() {
		old, ok1 := key.Value.(ast.String)
		value, ok2 := patterns.Get(key).Value.(ast.String)
		if !ok1 || !ok2 {
			return nil // OPA complains
		}
		longestOld, longest = max(longestOld, len(old)), max(longest, len(value))
		pairs = append(pairs, string(old), string(value))
	}
	if err := searchFits(text, longestOld); err != nil {
		return err
	}
	if (len(text)+1)*(longest+1) > MaxBytes { // or no text can become that long
		if _, err := strings.NewReplacer(pairs...).WriteString(&counter{}, text); err != nil {
			return err
		}
	}
	return nil
}

// counter counts what is written to it, up to MaxBytes.
type counter struct{ n int }

var _ io.StringWriter = (*counter)(nil)

// Write is [io.Writer]'s.
func (c *counter) Write(p []byte) (int, error) { return len(p), c.add(len(p)) }

// WriteString is [io.StringWriter]'s.
func (c *counter) WriteString(s string) (int, error) { return len(s), c.add(len(s)) }

func (c *counter) add(n int) error {
	if c.n += n; c.n > MaxBytes {
		return tooLarge("the result", "bytes", MaxBytes)
	}
	return nil
}

func guardSprintf(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	if err := small(bctx, operands); err != nil {
		return err
	}
	longest := 0
	if list, ok := operands[1].Value.(*ast.Array); ok {
		for i := range list.Len() {
			longest = max(longest, lengthOf(list.Elem(i)))
		}
	}
	return formatted(stringOf(operands, 0), longest)
}

// lengthOf is about the length of a value's text, which [small] measured already.
func lengthOf(t *ast.Term) int {
	switch v := t.Value.(type) {
	case ast.String:
		return len(v)
	case ast.Number:
		return len(v)
	case ast.Boolean, ast.Null:
		return len("false")
	default:
		var m meter
		_ = m.visit(t, 0)
		return m.bytes + 8*m.values
	}
}

// maxWidth is the largest width and precision that package fmt accepts.
const maxWidth = 1_000_000

// maxFloat is the length of the longest float64 that %f writes, and more than that of any other scalar's text.
const maxFloat = 320

// formatted returns an error where the text that fmt makes may be too long: of each verb the widths that the
// format writes, and the longest argument, quoted where the format quotes.
func formatted(format string, longest int) error {
	verbs := strings.Count(format, "%")
	if verbs == 0 {
		return nil
	}
	longest = max(longest, maxFloat)
	if strings.ContainsAny(format, "qxXUb#+") {
		longest *= 10
	}
	total := len(format) + verbs*(longest+64) + strings.Count(format, "*")*maxWidth
	for i := 0; i < len(format); i++ {
		if format[i] < '0' || format[i] > '9' {
			continue
		}
		begin := i
		for i < len(format) && format[i] >= '0' && format[i] <= '9' {
			i++
		}
		n, err := strconv.Atoi(format[begin:i])
		if err != nil || n > maxWidth {
			n = 0 // fmt writes that it is a bad width
		}
		total += n
	}
	if total > MaxBytes {
		return tooLarge("the result", "bytes", MaxBytes)
	}
	return nil
}

var errEmptySearch = errors.New("empty search character")

// indexOf is indexof. OPA's compares the whole of the search with each place of the text, unless both are ASCII.
func indexOf(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
	first := ast.InternedTerm(-1)
	err := indices(bctx, operands, true, func(i int) bool {
		first = ast.InternedTerm(i)
		return false
	})
	if err != nil {
		return err
	}
	return iter(first)
}

// indexOfN is indexof_n, with the same difference.
func indexOfN(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
	var all []*ast.Term
	err := indices(bctx, operands, false, func(i int) bool {
		all = append(all, ast.InternedTerm(i))
		return len(all) <= MaxValues
	})
	if err != nil {
		return err
	}
	if len(all) > MaxValues {
		return tooLarge("the result", "items", MaxValues)
	}
	return iter(ast.ArrayTerm(all...))
}

// indices calls yield with the places of the second operand in the first, in runes, until it returns false; with
// one, at the first place only.
func indices(bctx topdown.BuiltinContext, operands []*ast.Term, one bool, yield func(int) bool) error {
	base, err := builtins.StringOperand(operands[0].Value, 1)
	if err != nil {
		return err
	}
	search, err := builtins.StringOperand(operands[1].Value, 2)
	if err != nil {
		return err
	}
	if search == "" {
		return errEmptySearch
	}
	if len(base) > MaxBytes {
		return tooLarge("an operand", "bytes", MaxBytes)
	}
	if utf8.ValidString(string(base)) && utf8.ValidString(string(search)) { // or bytes that differ are equal runes
		i := strings.Index(string(base), string(search))
		if i >= 0 && one {
			yield(utf8.RuneCountInString(string(base[:i])))
		}
		if i < 0 || one {
			return nil
		}
	}
	text, pattern := []rune(string(base)), []rune(string(search))
	border := borders(pattern)
	matched := 0
	for i, r := range text {
		if i%valuesPerLook == 0 && cancelled(bctx) {
			return errCancelled
		}
		for matched > 0 && (matched == len(pattern) || pattern[matched] != r) {
			matched = border[matched-1]
		}
		if pattern[matched] == r {
			matched++
		}
		if matched == len(pattern) && !yield(i-len(pattern)+1) {
			return nil
		}
	}
	return nil
}

// borders is the failure function of Knuth, Morris and Pratt: for each prefix of the pattern, the length of the
// longest part that both begins and ends it.
func borders(pattern []rune) []int {
	border := make([]int, len(pattern))
	for i, k := 1, 0; i < len(pattern); i++ {
		for k > 0 && pattern[k] != pattern[i] {
			k = border[k-1]
		}
		if pattern[k] == pattern[i] {
			k++
		}
		border[i] = k
	}
	return border
}

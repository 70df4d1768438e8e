package builtins

import (
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// Where a pattern has no counted repetition, a byte of it is at most that many instructions of its program;
// where it has one, a thousand times as many, which is the largest count that Go's regexp accepts.
const (
	instructionsPerByte  = 4
	instructionsPerCount = 1000
	maxGroupBytes        = 1 << 20
	shortPattern         = 60 // bytes, up to which patterns and texts cross no limit
)

// guardRegex bounds the instructions times the bytes of the text, which is how long a match can take, and the
// items of the result. A match cannot be interrupted.
func guardRegex(_ topdown.BuiltinContext, operands []*ast.Term) error {
	pattern, _ := operands[0].Value.(ast.String)
	text := 0
	if len(operands) > 1 {
		s, _ := operands[1].Value.(ast.String)
		text = len(s)
	}
	return regexFits(string(pattern), text)
}

func regexFits(pattern string, text int) error {
	if len(pattern) <= shortPattern && text <= shortPattern {
		return nil
	}
	if len(pattern) > MaxPattern {
		return tooLarge("the pattern", "bytes", MaxPattern)
	}
	if text > MaxBytes {
		return tooLarge("an operand", "bytes", MaxBytes)
	}
	// A group needs two bytes of pattern, and is an item for each match.
	if groups := strings.Count(pattern, "("); groups > 0 && (groups+1)*(text+1) > 4*MaxItems {
		return tooLarge("the pattern's groups times the text", "bytes", 4*MaxItems)
	}
	// Go's matcher keeps the places of all groups for each instruction.
	if groups := strings.Count(pattern, "("); groups*len(pattern) > maxGroupBytes {
		return tooLarge("the pattern's groups times its length", "bytes", maxGroupBytes)
	}
	estimate := len(pattern) * instructionsPerByte
	if strings.Contains(pattern, "{") {
		estimate *= instructionsPerCount
	}
	if estimate*(text+1) <= MaxSteps/16 {
		return nil
	}
	size, err := programSize(pattern)
	if err != nil {
		return nil //nolint:nilerr // OPA's error says more
	}
	if size*(text+1) > MaxSteps/2 {
		return tooLarge("the pattern's instructions times the text", "bytes", MaxSteps/2)
	}
	return nil
}

var programSizes = cache[string, int]{max: 1000}

// programSize is the number of instructions of a compiled pattern.
func programSize(pattern string) (int, error) {
	return programSizes.get(pattern, len(pattern), func() (int, error) {
		parsed, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			return 0, err
		}
		program, err := syntax.Compile(parsed.Simplify())
		if err != nil {
			return 0, err
		}
		return len(program.Inst), nil
	})
}

// regexReplace is regex.replace. OPA's has no limit for what it makes.
func regexReplace(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
	var texts [3]string
	for i := range texts {
		s, err := builtins.StringOperand(operands[i].Value, i+1)
		if err != nil {
			return err
		}
		texts[i] = string(s)
	}
	text, pattern, value := texts[0], texts[1], texts[2]
	if err := regexFits(pattern, len(text)); err != nil {
		return err
	}
	re, err := compileRegexp(pattern)
	if err != nil {
		return err
	}
	var out []byte
	end := 0
	for i, match := range re.FindAllStringSubmatchIndex(text, -1) {
		if i%valuesPerLook == 0 && cancelled(bctx) {
			return errCancelled
		}
		out = append(out, text[end:match[0]]...)
		// Each two bytes of the value may stand for all that matched.
		if len(out)+len(value)/2*(match[1]-match[0]) > MaxBytes {
			return tooLarge("the result", "bytes", MaxBytes)
		}
		out = re.ExpandString(out, value, text, match)
		end = match[1]
		if len(out) > MaxBytes {
			return tooLarge("the result", "bytes", MaxBytes)
		}
	}
	out = append(out, text[end:]...)
	if string(out) == text {
		return iter(operands[0])
	}
	return iter(ast.StringTerm(string(out)))
}

var regexps = cache[string, *regexp.Regexp]{max: 100}

func compileRegexp(pattern string) (*regexp.Regexp, error) {
	return regexps.get(pattern, len(pattern), func() (*regexp.Regexp, error) { return regexp.Compile(pattern) })
}

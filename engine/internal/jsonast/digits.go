package jsonast

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
)

// MaxDigits bounds the decimal digits of a number as it would be written without an exponent: comparing and
// computing write it so, and take time with the square of the digits.
const MaxDigits = 10_000

// exponentDigits is the number of digits from which on an exponent may be more than MaxDigits.
const exponentDigits = 5

// TooManyDigits is the error of a number with more than [MaxDigits] digits.
type TooManyDigits struct{ Offset int }

func (e *TooManyDigits) Error() string {
	return fmt.Sprintf("the number at byte %d has more than %d digits", e.Offset, MaxDigits)
}

// Digits is an upper bound of the digits that n, the text of a number, has without an exponent.
func Digits(n string) int {
	for i := range len(n) {
		if n[i]|0x20 != 'e' {
			continue
		}
		exponent, err := strconv.Atoi(n[i+1:])
		if err != nil || exponent > MaxDigits || exponent < -MaxDigits {
			return math.MaxInt
		}
		return i + max(exponent, -exponent)
	}
	return len(n)
}

// CheckNumbers returns a [*TooManyDigits] for the first number of a JSON text that has too many digits. It is asked before
// a decoder makes values of the text: decoders accept any number of digits, and what later compares two such values
// cannot be interrupted. It reads a text once and takes no memory.
func CheckNumbers(text []byte) error {
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			end, ok := endOfString(text, i)
			if !ok {
				return nil // no JSON, as its decoder will say
			}
			i = end
		case '0' <= c && c <= '9':
			start := i
			for i < len(text) && bytes.IndexByte([]byte("0123456789.eE+-"), text[i]) >= 0 {
				i++
			}
			// Nearly all numbers are shorter than any that can have too many digits.
			if i-start > exponentDigits && Digits(string(text[start:i])) > MaxDigits {
				return &TooManyDigits{start}
			}
		default:
			i++
		}
	}
	return nil
}

// MayHaveTooManyDigits reports whether a text in whatever syntax has as many digits in a row, or as large an
// exponent, as a number with too many digits.
func MayHaveTooManyDigits(text []byte) bool {
	// An exponent of five digits is too large even with one digit before it. A hexadecimal text may look like one: the answer
	// is only "may".
	run, exponent := 0, false
	for _, c := range text {
		switch {
		case '0' <= c && c <= '9', c == '.' && run > 0 && !exponent:
			if run++; run > MaxDigits || exponent && run >= exponentDigits {
				return true
			}
		case c|0x20 == 'e' && run > 0 && !exponent:
			run, exponent = 0, true
		case (c == '+' || c == '-') && run == 0 && exponent:
		default:
			run, exponent = 0, false
		}
	}
	return false
}

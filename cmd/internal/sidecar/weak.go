package sidecar

import (
	"fmt"
	"strings"
)

// Limits for tokens that people choose. A random token of 16 hexadecimal digits passes: half of a guess a nanosecond
// takes 300 years.
const (
	minTokenBytes    = 16
	minTokenDistinct = 6 // a random token of 16 hexadecimal digits has fewer once in 10,000
	minTokenOwn      = 8 // letters and digits that are not of weakWords
)

// weakWords are what people write where a secret is expected.
var weakWords = []string{
	"changeme", "changeit", "change", "secret", "password", "passwd", "token", "admin", "default", "example", "sample", "defenseclaw", "gateway", "letmein", "welcome",
	"qwertyuiop", "qwerty", "asdfghjkl", "replace", "insert", "your", "here", "this", "with", "test", "demo", "local", "foobar", "apikey", "bearer", "please", "0123456789", "1234567890", "12345678", "123456", "abcdef", "me",
}

// Weakness says why a token can be guessed; it is empty for one that was made by chance.
func Weakness(token string) string {
	lower := strings.ToLower(token)
	distinct, steps := map[byte]bool{}, 0
	for i := range len(lower) {
		distinct[lower[i]] = true
		if i > 0 && (lower[i] == lower[i-1]+1 || lower[i] == lower[i-1]-1) {
			steps++
		}
	}
	own := strings.Map(func(c rune) rune {
		if strings.ContainsRune(" -_.:/!", c) {
			return -1
		}
		return c
	}, lower)
	for _, word := range weakWords {
		own = strings.ReplaceAll(own, word, "")
	}
	switch {
	case len(token) < minTokenBytes:
		return fmt.Sprintf("it has %d bytes, and %d are the least", len(token), minTokenBytes)
	case len(distinct) < minTokenDistinct:
		return fmt.Sprintf("it has only %d different characters", len(distinct))
	case strings.Contains((lower + lower)[1:2*len(lower)-1], lower):
		return "it is one text several times"
	case steps > len(lower)/2:
		return "its characters follow one another in order"
	case len(own) < minTokenOwn:
		return "it is made of words that are tried first"
	default:
		return ""
	}
}

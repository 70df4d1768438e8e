package decisionlog

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

// shapes are what secrets look like wherever they are. A text is searched for the literal, and what begins there is compared:
// most texts have none, and a text of a megabyte must not take the log's time from other events.
var shapes = []struct {
	literal string
	shape   func() *regexp.Regexp // nil: the literal is enough
	inWord  bool                  // it may follow a letter or a digit
}{
	{"eyJ", expression(`^eyJ[\w-]{5,}\.[\w-]{5,}\.`), false}, // JWT
	{"PRIVATE KEY-----", nil, true},
	{"://", expression(`^://[^/\s:@?#]*:[^/\s@]+@`), true}, // the password of a URL
	{"ghp_", expression(`^\w{24,}`), false},
	{"gho_", expression(`^\w{24,}`), false},
	{"ghu_", expression(`^\w{24,}`), false},
	{"ghs_", expression(`^\w{24,}`), false},
	{"ghr_", expression(`^\w{24,}`), false},
	{"github_pat_", expression(`^\w{31,}`), false},
	{"glpat-", expression(`^[\w-]{22,}`), false},
	{"xox", expression(`^xox[a-z]-[\w-]{10,}`), false},
	{"sk-", expression(`^[\w-]{23,}`), false},
	{"k_live_", expression(`^\w{23,}`), true},
	{"k_test_", expression(`^\w{23,}`), true},
	{"AKIA", expression(`^[0-9A-Z]{20}\b`), false},
	{"ASIA", expression(`^[0-9A-Z]{20}\b`), false},
	{"AIza", expression(`^[\w-]{34,}`), false},
	{"ya29.", expression(`^ya29\.[\w-]{20,}`), false},
	{"npm_", expression(`^\w{34,}`), false},
	{"pypi-", expression(`^[\w-]{35,}`), false},
	{"hvs.", expression(`^hvs\.[\w-]{20,}`), false},
	{"SG.", expression(`^SG\.[\w-]{16,}\.[\w-]{16,}`), false},
}

// expression is a regular expression that is compiled when it is needed first.
func expression(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

const (
	maxShapeBytes = 8 << 10 // of a secret that are compared
	maxLookAlikes = 100     // beginnings of secrets in one text, and
	maxTextNames  = 5000    // names with values in one; a text with more is taken for a secret, since looking further costs too much
	maxNameBytes  = 128
)

// looksSecret reports whether a text has something in it that looks like a secret.
func looksSecret(text string) bool {
	for _, s := range shapes {
		for at, seen := 0, 0; ; seen++ {
			next := strings.Index(text[at:], s.literal)
			if next < 0 {
				break
			}
			at += next
			whole := s.inWord || at == 0 || !isWord(text[at-1])
			if seen == maxLookAlikes || whole && (s.shape == nil || s.shape().MatchString(text[at:min(len(text), at+maxShapeBytes)])) {
				return true
			}
			at += len(s.literal)
		}
	}
	return false
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// holdsSecret reports whether a text is a secret or has one in it: the value of a header, a URL with a query, a form,
// JSON, or lines of names and values.
func (n *names) holdsSecret(text string) bool {
	if len(text) < 4 {
		return false
	}
	if looksSecret(text) {
		return true
	}
	if isCredential(text) {
		return true
	}
	if !strings.ContainsAny(text, ":=<[") {
		return false
	}
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		var document any
		if json.Unmarshal([]byte(trimmed), &document) == nil {
			found := &eraser{names: n, event: &event{}}
			found.below(document, nil, plain)
			return len(found.event.Erased) > 0
		}
	}
	return n.named(text)
}

// named reports whether a text gives a value under the name of a secret: a parameter of a URL or a form, a header, a line of YAML
// or of an environment, a member of JSON, an element of XML.
func (n *names) named(text string) bool {
	seen := 0
	for i := range len(text) {
		var name, value string
		switch text[i] {
		case ':', '=':
			name, value = nameBefore(text[:i]), text[i+1:]
			if text[i] == '=' && strings.EqualFold(name, "name") { // of a part of multipart/form-data
				name = nameAfter(strings.TrimLeft(value, `"\`))
			}
		case '<':
			name = nameAfter(text[i+1:])
			_, value, _ = strings.Cut(text[i:min(len(text), i+2*maxNameBytes)], ">")
			if strings.HasPrefix(value, "<") {
				continue // it is empty, or has other elements
			}
		default:
			continue
		}
		if seen++; seen > maxTextNames {
			return true
		}
		if of := n.of(name); name != "" && of != plain && hasValue(value, of) {
			return true
		}
	}
	return false
}

// hasValue reports whether the text after a name begins with a value. What holds a secret has a text: numbers after it
// count something, as in "max_tokens": 5.
func hasValue(text string, of secrecy) bool {
	text = strings.TrimLeft(text[:min(len(text), maxNameBytes)], " \t\r\n")
	if text == "" || text[0] == '&' || strings.HasPrefix(text, `""`) {
		return false
	}
	number := len(text) - len(strings.TrimLeft(text, "0123456789."))
	return of == secret || number == 0 || number < len(text) && isWord(text[number])
}

// nameBefore returns the name at the end of a text, without the quotes around it.
func nameBefore(text string) string {
	text = strings.TrimRight(text[max(0, len(text)-maxNameBytes):], " \t")
	text = strings.TrimRight(text, "\"'`\\")
	begin := len(text)
	for begin > 0 && isNameByte(text[begin-1]) {
		begin--
	}
	return decoded(text[begin:])
}

func nameAfter(text string) string {
	end := 0
	for end < len(text) && end < maxNameBytes && isNameByte(text[end]) {
		end++
	}
	return decoded(text[:end])
}

func isNameByte(c byte) bool {
	return isWord(c) || c == '-' || c == '.' || c == '%' || c >= utf8.RuneSelf
}

func decoded(name string) string {
	if !strings.Contains(name, "%") {
		return name
	}
	if plain, err := url.QueryUnescape(name); err == nil {
		return plain
	}
	return name
}

// isCredential reports whether text is the value of an Authorization header. Words that begin with the name of a scheme
// are not: Basic has a name and a password, encoded, and the others one word or parameters.
func isCredential(text string) bool {
	scheme, value, ok := strings.Cut(strings.TrimSpace(text), " ")
	if value = strings.TrimSpace(value); !ok || value == "" {
		return false
	}
	switch strings.ToLower(scheme) {
	case "basic":
		decoded, err := base64.StdEncoding.DecodeString(value)
		return err == nil && strings.Contains(string(decoded), ":")
	case "bearer", "dpop":
		return !strings.Contains(value, " ")
	case "token", "apikey", "negotiate":
		const minLength = 12 // shorter than any token, and longer than most words
		return !strings.Contains(value, " ") && len(value) >= minLength
	case "digest", "hawk", "aws4-hmac-sha256":
		return strings.Contains(value, "=")
	}
	return false
}

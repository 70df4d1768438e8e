package decisionlog

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
)

// What a secret looks like wherever it is. Each begins with a literal by which it is sought, since most texts have none
// and a search for a literal is cheap.
var shapes = []struct {
	literal string
	shape   *regexp.Regexp
}{
	{"eyJ", regexp.MustCompile(`\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*`)}, // JWT
	{"PRIVATE KEY", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY`)},
	{"://", regexp.MustCompile(`://[^/\s:@?#]*:[^/\s@]+@`)}, // the password of a URL
	{"gh", regexp.MustCompile(`\bgh[pousr]_\w{20,}`)},
	{"github_pat_", regexp.MustCompile(`\bgithub_pat_\w{20,}`)},
	{"glpat-", regexp.MustCompile(`\bglpat-[\w-]{16,}`)},
	{"xox", regexp.MustCompile(`\bxox[a-z]-[\w-]{10,}`)},
	{"sk-", regexp.MustCompile(`\bsk-[\w-]{20,}`)},
	{"k_", regexp.MustCompile(`\b[rs]k_(?:live|test)_\w{16,}`)},
	{"AKIA", regexp.MustCompile(`\bAKIA[0-9A-Z]{16}\b`)},
	{"ASIA", regexp.MustCompile(`\bASIA[0-9A-Z]{16}\b`)},
	{"AIza", regexp.MustCompile(`\bAIza[\w-]{30,}`)},
	{"ya29.", regexp.MustCompile(`\bya29\.[\w-]{20,}`)},
	{"npm_", regexp.MustCompile(`\bnpm_\w{30,}`)},
	{"pypi-", regexp.MustCompile(`\bpypi-[\w-]{30,}`)},
	{"hvs.", regexp.MustCompile(`\bhvs\.[\w-]{20,}`)},
	{"SG.", regexp.MustCompile(`\bSG\.[\w-]{16,}\.[\w-]{16,}`)},
}

// Where a text gives a value a name: the group is the name.
var (
	assignment = regexp.MustCompile(`(?:^|[\s,;:(])["']?([\w.-]+)["']?[ \t]*[:=]`)        // a header, YAML, .env
	member     = regexp.MustCompile(`"((?:[^"\\]|\\.)+)\\?"\s*:\s*(?:\\?"[^"]|[0-9\[{])`) // JSON among other text
	element    = regexp.MustCompile(`<([\w.:-]+)[^<>]*>[^<\s]`)                           // XML
	formPart   = regexp.MustCompile(`(?i)\bname="?([^"\r\n;]+)`)                          // multipart/form-data
)

// holdsSecret reports whether a text is a secret or has one in it: the value of a header, a URL with a query, a form,
// JSON, or lines of names and values.
func (n *names) holdsSecret(text string) bool {
	if len(text) < 4 {
		return false
	}
	for _, s := range shapes {
		if strings.Contains(text, s.literal) && s.shape.MatchString(text) {
			return true
		}
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
	return n.inQuery(text) || n.named(text, ":=", assignment) || n.named(text, `":`, member) || n.named(text, "<", element) || n.named(text, "name=", formPart)
}

// inQuery looks for a parameter of a URL or a form.
func (n *names) inQuery(text string) bool {
	if !strings.Contains(text, "=") {
		return false
	}
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("?&;#", r) }) {
		name, value, ok := strings.Cut(field, "=")
		if !ok || value == "" {
			continue
		}
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if len(name) < 128 && !strings.ContainsAny(name, " /\n") && n.of(name) != plain {
			return true
		}
	}
	return false
}

// named reports whether what shape finds in a text has the name of a secret. The text must have one of chars.
func (n *names) named(text, chars string, shape *regexp.Regexp) bool {
	if !strings.ContainsAny(text, chars) {
		return false
	}
	for _, at := range shape.FindAllStringSubmatchIndex(text, -1) {
		if n.of(strings.TrimSuffix(text[at[2]:at[3]], `\`)) != plain && strings.TrimLeft(text[at[1]:], " \t") != "" {
			return true
		}
	}
	return false
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

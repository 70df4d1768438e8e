package decisionlog

import (
	"slices"
	"strings"
	"unicode"
)

// secrecy is what the name of a field says about its value.
type secrecy int

const (
	plain    secrecy = iota
	holder           // texts are secret: "token": "…"; an object may also say harmless things, such as the claims of a token
	secret           // texts and numbers are secret, and whatever an object holds
	maxNames = 4096  // whose secrecy is kept; an attacker may send any number of names
)

// secretParts are found anywhere in a name from which everything but letters and digits is removed, so that
// db-password, DB_PASSWORD and dbPassword1 are the same.
var secretParts = []string{
	"password", "passwd", "passphrase", "passcode", "secret", "credential", "cookie", "authorization",
	"apikey", "accesskey", "privatekey", "signingkey", "encryptionkey", "sharedkey", "masterkey", "authkey", "sshkey",
}

var holderParts = []string{"token", "jwt", "bearer", "sessionid", "sessid", "assertion", "signature", "csrf", "xsrf", "samlresponse"}

// secretWords are words of a name, as capitals and punctuation separate them: as parts they would be found in others.
var (
	secretWords = []string{"pwd", "pass", "pin", "otp", "totp", "cvv", "cvc", "psk"}
	holderWords = []string{"auth", "authentication", "sid", "session", "dpop"} // as the last word only
	harmless    = []string{                                                    // a name that ends in one tells something about the secret, but not the secret
		"age", "alg", "algorithm", "at", "changed", "consent", "count", "enabled", "endpoint", "exp", "expiration", "expired", "expires", "expiry", "in", "issuer",
		"kind", "length", "limit", "method", "name", "policy", "required", "scheme", "secretary", "status", "strength", "tokenizer", "ttl", "type", "updated",
	}
	// keys are words before "key" with which it is no secret.
	keys = []string{
		"cache", "composite", "foreign", "group", "idempotency", "index", "map", "message", "object", "partition", "primary", "public", "record",
		"routing", "sort", "translation",
	}
)

// names recognizes secrets by the names of fields. It is used by one goroutine.
type names struct {
	more, exempt []string // as plainName makes them; see Config
	known        map[string]secrecy
}

func newNames(more, exempt []string) *names {
	n := &names{known: map[string]secrecy{}}
	for _, name := range more {
		if name = plainName(name); name != "" {
			n.more = append(n.more, name)
		}
	}
	for _, name := range exempt {
		n.exempt = append(n.exempt, plainName(name))
	}
	return n
}

func (n *names) of(name string) secrecy {
	s, ok := n.known[name]
	if !ok {
		if len(n.known) >= maxNames {
			clear(n.known)
		}
		s = n.judge(name)
		n.known[name] = s
	}
	return s
}

func (n *names) judge(name string) secrecy {
	joined, has := plainName(name), strings.Contains
	if slices.Contains(n.exempt, joined) {
		return plain
	}
	if slices.ContainsFunc(n.more, func(part string) bool { return has(joined, part) }) {
		return secret
	}
	words := wordsOf(name)
	if len(words) == 0 {
		return plain
	}
	last := words[len(words)-1]
	if slices.Contains(harmless, last) {
		return plain
	}
	contains := func(parts []string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return has(joined, part) })
	}
	switch {
	case contains(secretParts), slices.ContainsFunc(words, func(w string) bool { return slices.Contains(secretWords, w) }):
		return secret
	case contains(holderParts), slices.Contains(holderWords, last), len(words) > 1 && last == "key" && !slices.Contains(keys, words[len(words)-2]):
		return holder
	}
	return plain
}

// plainName returns the letters and digits of a name, in lower case.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// wordsOf splits a name where capitals begin and at everything but letters, and returns its words in lower case.
func wordsOf(name string) (words []string) {
	var word []rune
	end := func() {
		if len(word) > 0 {
			words = append(words, string(word))
			word = word[:0]
		}
	}
	lower := false // the previous one
	for _, r := range name {
		if !unicode.IsLetter(r) || unicode.IsUpper(r) && lower {
			end()
		}
		if unicode.IsLetter(r) {
			word = append(word, unicode.ToLower(r))
		}
		lower = unicode.IsLower(r)
	}
	end()
	return words
}

package worktree

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// ParseAllowedSigners reads a file of allowed signers, as ssh-keygen and gpg.ssh.allowedSignersFile take it: lines of
// principals, options and a public key. The options are namespaces, valid-after and valid-before; a line with another, such as
// cert-authority, is an error, since leaving it out would trust more or less than was meant.
func ParseAllowedSigners(content []byte) (Signers, error) {
	var s Signers
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		k, err := parseSigner(line)
		if err != nil {
			return Signers{}, fmt.Errorf("line %d: %w", n, err)
		}
		s.ssh = append(s.ssh, k)
	}
	if len(s.ssh) == 0 {
		return Signers{}, errors.New("it names nobody")
	}
	return s, nil
}

func parseSigner(line string) (sshSigner, error) {
	principals, rest, err := firstField(line)
	if err != nil {
		return sshSigner{}, err
	}
	k := sshSigner{name: principals}
	var options []string
	if k.key, _, options, _, err = ssh.ParseAuthorizedKey([]byte(rest)); err != nil {
		return k, fmt.Errorf("expected principals, options and a public key: %w", err)
	}
	if _, ok := k.key.(*ssh.Certificate); ok {
		return k, errors.New("it is a certificate; a public key was expected")
	}
	if err := strong(k.key); err != nil {
		return k, err
	}
	for _, option := range options {
		name, value, _ := strings.Cut(option, "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "namespaces":
			k.namespaces = strings.Split(value, ",")
		case "valid-after":
			k.after, err = moment(value)
		case "valid-before":
			k.before, err = moment(value)
		default:
			err = fmt.Errorf("the option %q is not taken", name)
		}
		if err != nil {
			return k, err
		}
	}
	return k, nil
}

// firstField may be quoted.
func firstField(line string) (field, rest string, _ error) {
	if quoted, ok := strings.CutPrefix(line, `"`); ok {
		field, rest, ok = strings.Cut(quoted, `"`)
		if !ok {
			return "", "", errors.New("a quotation mark is not closed")
		}
		return field, strings.TrimSpace(rest), nil
	}
	at := strings.IndexAny(line, " \t")
	if at < 0 {
		return "", "", errors.New("expected principals, options and a public key")
	}
	return line[:at], strings.TrimSpace(line[at:]), nil
}

// moment reads YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, in local time unless it ends in Z.
func moment(text string) (time.Time, error) {
	digits, utc := strings.CutSuffix(text, "Z")
	zone := time.Local
	if utc {
		zone = time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if t, err := time.ParseInLocation(layout, digits, zone); err == nil && len(digits) == len(layout) {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS was expected, with a Z for UTC", text)
}

// matchesAny is true where a pattern with * and ? matches, and none with an exclamation mark does.
func matchesAny(patterns []string, text string) bool {
	matched := false
	for _, p := range patterns {
		not := strings.HasPrefix(p, "!")
		if ok, err := path.Match(strings.TrimPrefix(p, "!"), text); err == nil && ok {
			if not {
				return false
			}
			matched = true
		}
	}
	return matched
}

package settings

import "strings"

// envValue returns the value of a variable in a .env file, as the original gateway reads it: the first line NAME=value that is
// not empty; quotes around the whole value are left out; a # begins a comment only at the beginning of a line. Lines
// that begin with "export ", which the original passes over, count if there is no other.
func envValue(text []byte, name string) string {
	exported := ""
	for line := range strings.SplitSeq(string(text), "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		key, isExported := strings.CutPrefix(strings.TrimSpace(key), "export ")
		value = unquoted(strings.TrimSpace(value))
		switch {
		case strings.TrimSpace(key) != name, value == "", strings.Contains(value, "\x00"):
		case !isExported:
			return value
		case exported == "":
			exported = value
		}
	}
	return exported
}

func unquoted(value string) string {
	last := len(value) - 1
	if last > 0 && (value[0] == '"' || value[0] == '\'') && value[last] == value[0] {
		value = value[1:last]
	}
	return strings.TrimSpace(value)
}

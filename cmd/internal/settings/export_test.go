package settings

import "strings"

// Takes says what values a setting has, for the document.
func (s Setting) Takes() string {
	switch v := s.value; {
	case v.isBool:
		return "true or false"
	case v.expected != "":
		return strings.TrimSuffix(v.expected, ",")
	case v.isList:
		return "a list"
	}
	_, rest, _ := strings.Cut(s.Help, "`")
	placeholder, _, _ := strings.Cut(rest, "`")
	return map[string]string{"FILE": "a file", "DIR": "a directory", "URL": "a URL", "PATH": "a path", "FILES": "files", "ADDRESS": "an address", "NAME": "a name"}[placeholder]
}

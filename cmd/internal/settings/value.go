package settings

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// UnixScheme begins the address of a Unix socket, in settings, in gateway.json and in messages.
const UnixScheme = "unix:"

// A value parses the text of one setting and stores the result in a field of [Settings].
type value struct {
	isBool   bool
	isList   bool   // config.yaml may have a list
	expected string // ends the error "… is …: … was expected"; empty: an error of set speaks for itself
	example  bool   // expected is followed by "such as" and the default
	set      func(found) error
}

// found is the text of one setting, and where it was found.
type found struct {
	text      string
	source    string // as messages name it; empty: the default
	named     string // FILE:LINE:COLUMN: KEY, as errors name it; empty unless the text is from config.yaml
	configDir string // the directory of config.yaml; empty unless the text is from there
	getenv    func(string) string
	dotEnv    []byte // the text of .env in the data directory
}

// resolvePath returns a path from config.yaml relative to that file, and others as they are.
func (f found) resolvePath(path string) string {
	if path == "" || f.configDir == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(f.configDir, path)
}

var errValue = errors.New("not an allowed value")

// parsed makes a value of a parser.
func parsed[T any](field *T, expected string, parse func(string) (T, error)) value {
	return value{expected: expected, set: func(f found) (err error) {
		*field, err = parse(f.text)
		return err
	}}
}

func text(field *string) value {
	return value{set: func(f found) error { *field = f.text; return nil }}
}

func path(field *string) value {
	return value{set: func(f found) error { *field = f.resolvePath(f.text); return nil }}
}

// home expands ~ to the home directory.
func home(field *string) value {
	return value{set: func(f found) error {
		*field = f.text
		rest, ok := strings.CutPrefix(f.text, "~")
		if !ok || rest != "" && rest[0] != '/' {
			return nil
		}
		dir := f.getenv("HOME")
		if dir == "" {
			return errors.New("the data directory is under the home directory, and HOME is not set: set --data-dir or DEFENSECLAW_HOME")
		}
		*field = filepath.Join(dir, rest)
		return nil
	}}
}

// variable reads the name of a variable and stores what that holds, in the environment or else in .env.
func variable(field *string) value {
	return value{set: func(f found) error {
		*field, _ = f.variable()
		return nil
	}}
}

// keyVariable also keeps the name: a variable that holds nothing must not mean that nothing is encrypted.
func keyVariable(r *Record) value {
	return value{set: func(f found) error {
		r.KeyEnv = f.text
		r.Key, _ = f.variable()
		return nil
	}}
}

func (f found) variable() (value string, inFile bool) {
	if f.text == "" {
		return "", false
	}
	if v := f.getenv(f.text); v != "" {
		return v, false
	}
	return envValue(f.dotEnv, f.text), true
}

func (s *Settings) tokenVariable() value {
	return value{set: func(f found) error {
		s.TokenEnv = f.text
		s.namedToken, s.namedInFile = f.variable()
		return nil
	}}
}

// tokenText keeps a token of the environment and one of config.yaml apart: .env lies between them.
func (s *Settings) tokenText() value {
	return value{set: func(f found) error {
		if f.source == TokenVariable {
			s.givenToken = f.text
		} else {
			s.configToken = f.text
		}
		return nil
	}}
}

// host takes an IPv6 address with or without brackets.
func host(field *string) value {
	return value{set: func(f found) error {
		*field = strings.TrimSuffix(strings.TrimPrefix(f.text, "["), "]")
		return nil
	}}
}

// noting also records in chosen that the value is not the default.
func noting(chosen *bool, v value) value {
	set := v.set
	v.set = func(f found) error {
		*chosen = *chosen || f.source != ""
		return set(f)
	}
	return v
}

// sourced also stores where the value was found; nothing is stored for the default.
func sourced(source *string, v value) value {
	set := v.set
	v.set = func(f found) error {
		*source = f.source
		return set(f)
	}
	return v
}

func boolean(field *bool) value {
	v := parsed(field, "true or false", strconv.ParseBool)
	v.isBool = true
	return v
}

func port(field *int) value {
	return parsed(field, "a port from 0 to 65535", func(text string) (int, error) {
		n, err := strconv.ParseUint(text, 10, 16)
		return int(n), err
	})
}

func positive[N int | int64](field *N, expected string) value {
	return parsed(field, expected, func(text string) (N, error) {
		n, err := strconv.Atoi(text)
		if err == nil && n <= 0 {
			err = errValue
		}
		return N(n), err
	})
}

func natural[N int | int64](field *N, expected string) value {
	return parsed(field, expected, func(text string) (N, error) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err == nil && (n < 0 || int64(N(n)) != n) {
			err = errValue
		}
		return N(n), err
	})
}

func share(field *float64) value {
	const expected = "a number from 0 to 1"
	return parsed(field, expected, func(text string) (float64, error) {
		f, err := strconv.ParseFloat(text, 64)
		if err == nil && (f < 0 || f > 1 || f != f) {
			err = errValue
		}
		return f, err
	})
}

func integer(field *int) value { return parsed(field, "a number", strconv.Atoi) }

// seconds takes a number of them, which may have a fraction, or nothing.
func seconds(field *time.Duration) value {
	return parsed(field, "a number of seconds", func(text string) (time.Duration, error) {
		if text == "" {
			return 0, nil
		}
		n, err := strconv.ParseFloat(text, 64)
		const most = 24 * 60 * 60
		if err == nil && !(n >= 0 && n <= most) {
			err = errValue
		}
		return time.Duration(n * float64(time.Second)), err
	})
}

func duration(field *time.Duration) value {
	v := parsed(field, "a duration", func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err == nil && d <= 0 {
			err = errValue
		}
		return d, err
	})
	v.example = true
	return v
}

// delay is a duration that may be 0.
func delay(field *time.Duration) value {
	return parsed(field, "a duration such as 10s, or 0", func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err == nil && d < 0 {
			err = errValue
		}
		return d, err
	})
}

func choice(field *string, allowed ...string) value {
	last := len(allowed) - 1
	expected := strings.Join(allowed[:last], ", ") + " or " + allowed[last]
	return parsed(field, expected, func(text string) (string, error) {
		if !slices.Contains(allowed, text) {
			return "", errValue
		}
		return text, nil
	})
}

// severity takes a name in any spelling. Blanks alone are no choice.
func severity(field *string) value {
	const otherwise = "HIGH"
	v := choice(field, "LOW", "MEDIUM", "HIGH", "CRITICAL")
	set := v.set
	v.set = func(f found) error {
		f.text = cmp.Or(strings.ToUpper(strings.TrimSpace(f.text)), otherwise)
		return set(f)
	}
	return v
}

// spelled takes a value in lower case without the spaces around it, as the original gateway does.
func spelled(v value) value {
	set := v.set
	v.set = func(f found) error {
		f.text = strings.ToLower(strings.TrimSpace(f.text))
		return set(f)
	}
	return v
}

// list takes YAML's text of a list, or names with commas between them.
func list(field *[]string) value {
	return value{isList: true, set: func(f found) error {
		*field = strings.FieldsFunc(f.text, func(c rune) bool { return strings.ContainsRune("[], ", c) })
		return nil
	}}
}

// hosts takes a list of names and addresses, which no port and no pattern belongs to.
func hosts(field *[]string) value {
	v := list(field)
	v.expected = "a list of names of hosts, without ports and patterns,"
	set := v.set
	v.set = func(f found) error {
		if err := set(f); err != nil {
			return err
		}
		for _, host := range *field {
			if _, err := netip.ParseAddr(host); err != nil && strings.ContainsAny(host, ":/*@?") {
				return errValue
			}
		}
		return nil
	}
	return v
}

// overlays takes a list of names of files.
func overlays(field *[]string) value {
	v := list(field)
	read := v.set
	v.expected = "a list of names such as data-site.json"
	v.set = func(f found) error {
		err := read(f)
		if err == nil && slices.ContainsFunc(*field, func(name string) bool { return !isOverlay(name) }) {
			err = errValue
		}
		return err
	}
	return v
}

// isOverlay tells what the engine takes for an overlay: a name with another beginning would never be looked at.
func isOverlay(name string) bool {
	return strings.HasPrefix(name, "data-") && !strings.Contains(name, "/") &&
		slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(name))
}

// document takes the path of a document as engine.ParsePath does, but not the root.
func document(field *string) value {
	v := parsed(field, "a path", func(text string) (string, error) {
		if strings.Trim(text, "/") == "" {
			return "", errValue
		}
		for part := range strings.SplitSeq(text, "/") {
			if name, err := url.PathUnescape(part); err != nil || strings.Contains(name, `"`) {
				return "", errValue
			}
		}
		return text, nil
	})
	v.example = true
	return v
}

// address takes HOST:PORT or unix:PATH, or nothing.
func address(field *string) value {
	return value{expected: "HOST:PORT or unix:PATH", set: func(f found) error {
		*field = f.text
		if path, ok := strings.CutPrefix(f.text, UnixScheme); ok {
			*field = UnixScheme + f.resolvePath(path)
			if path == "" {
				return errValue
			}
			return nil
		}
		if f.text == "" {
			return nil
		}
		_, port, err := net.SplitHostPort(f.text)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		return err
	}}
}

package settings

import (
	"maps"
	"path/filepath"
	"slices"
)

// A ConfigKey is a key of config.yaml, with dots between the names of nested maps, and its value.
type ConfigKey struct {
	Key   string
	Value any // a scalar, a list, or an empty map
}

// UnreadKeys lists the keys of config.yaml in a data directory that no setting reads, sorted. An installation of the
// original gateway has many: other programs read them.
func UnreadKeys(dataDir string) ([]ConfigKey, error) {
	config, err := readConfig(filepath.Join(dataDir, "config.yaml"))
	if err != nil {
		return nil, err
	}
	read := map[string]bool{}
	for _, s := range Table() {
		read[s.Key] = true
	}
	return unread("", config.values, read), nil
}

func unread(prefix string, config map[string]any, read map[string]bool) (keys []ConfigKey) {
	for _, name := range slices.Sorted(maps.Keys(config)) {
		key, value := prefix+name, config[name]
		nested, isMap := value.(map[string]any)
		switch {
		case read[key]:
		case isMap && len(nested) > 0:
			keys = append(keys, unread(key+".", nested, read)...)
		default:
			keys = append(keys, ConfigKey{key, value})
		}
	}
	return keys
}

// Running returns the sidecar that published itself in the data directory and has not taken that back. It may have
// been killed since.
func (s Settings) Running() (_ Gateway, ok bool) {
	g := s.published()
	return g, g.PID != 0
}

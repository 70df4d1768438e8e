package query

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/engine"
	"defenseclaw/engine/memfs"

	"github.com/open-policy-agent/opa/v1/util"
)

// aloneModule makes a policy of data files alone: a package without a rule, below system, which OPA leaves out of data.
const aloneModule = "package system.defenseclaw_query\n"

// Pack is a policy directory of single files: modules, and data files (JSON or YAML) whose content lies at the root of data,
// as opa eval --data takes them. place is what the user calls a file of it. An error names the file.
func Pack(files []string) (src fs.FS, place func(name string) string, err error) {
	pack, data, modules, typed := map[string][]byte{}, map[string]any{}, false, map[string]string{}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return nil, nil, fmt.Errorf("--data: %w", err)
		}
		if info.IsDir() {
			return nil, nil, fmt.Errorf("--data %s: expected files, or one directory alone", file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, fmt.Errorf("--data: %w", err)
		}
		switch ext := filepath.Ext(file); {
		case strings.HasSuffix(file, "_test.rego"):
			return nil, nil, fmt.Errorf("--data %s: a file of tests is no part of a policy: policy test runs it", file)
		case ext == ".rego":
			name := nameInPack(file)
			if _, twice := pack[name]; twice {
				return nil, nil, fmt.Errorf("--data %s: another file is called %s, too", file, name)
			}
			pack[name], typed[name], modules = text, file, true
		case ext == ".json" || ext == ".yaml" || ext == ".yml":
			if err := addData(data, file, text); err != nil {
				return nil, nil, err
			}
		default:
			return nil, nil, fmt.Errorf("--data %s: expected a file of Rego, JSON or YAML, by its name", file)
		}
	}
	if !modules {
		pack["query.rego"] = []byte(aloneModule)
	}
	text, err := json.Marshal(data)
	if err != nil {
		return nil, nil, err
	}
	pack["data.json"] = text
	place = func(name string) string {
		if file, ok := typed[name]; ok {
			return report.Here(file)
		}
		return name
	}
	return memfs.New(maps.All(pack)), place, nil
}

// nameInPack is the path of a file without what leads out of a pack.
func nameInPack(file string) string {
	clean := path.Clean(filepath.ToSlash(file))
	if !filepath.IsLocal(file) {
		return path.Base(clean)
	}
	for _, part := range strings.Split(clean, "/") {
		if strings.HasPrefix(part, ".") { // a folder that packs leave out
			return path.Base(clean)
		}
	}
	return clean
}

func addData(all map[string]any, file string, text []byte) error {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if !json.Valid(text) {
		if err := engine.CheckYAMLInput(text); err != nil {
			return fmt.Errorf("--data %s: %w", file, err)
		}
	} else if err := engine.CheckNumbers(text); err != nil {
		return fmt.Errorf("--data %s: %w", file, err)
	}
	var v any
	if err := util.Unmarshal(text, &v); err != nil {
		return fmt.Errorf("--data %s: %w", file, err)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("--data %s: expected an object at the top", file)
	}
	return merge(all, object, file, "data")
}

func merge(to, from map[string]any, file, at string) error {
	for key, v := range from {
		old, known := to[key]
		if !known {
			to[key] = v
			continue
		}
		a, both := old.(map[string]any)
		b, ok := v.(map[string]any)
		switch {
		case both && ok:
			if err := merge(a, b, file, at+"."+key); err != nil {
				return err
			}
		case !reflect.DeepEqual(old, v):
			return fmt.Errorf("--data %s: another file has another value at %s.%s", file, at, key)
		}
	}
	return nil
}

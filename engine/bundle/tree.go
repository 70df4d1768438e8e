package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"defenseclaw/engine/memfs"

	"github.com/open-policy-agent/opa/v1/util"
)

// nestedRoot is a folder that has the whole policy of a directory that has it.
const nestedRoot = "rego"

// rootOf is where bundles are in the tree: below a folder of that name if one of them has such a folder, which would
// hide all else.
func rootOf(bundles map[string]*Bundle) string {
	for _, b := range bundles {
		if slices.ContainsFunc(b.Files, func(f File) bool { return strings.HasPrefix(f.Path, nestedRoot+"/") }) {
			return nestedRoot
		}
	}
	return ""
}

// Tree makes one policy directory of bundles, by their names. The data of each is where it is in OPA, and
// data.system.bundles has the manifest of each. An error says which bundles do not go together.
func Tree(bundles map[string]*Bundle) (*memfs.Tree, error) { return TreeAfter(nil, bundles) }

// TreeAfter is [Tree], and shares with previous, which may be nil, all files that are the same.
func TreeAfter(previous *memfs.Tree, bundles map[string]*Bundle) (*memfs.Tree, error) {
	names := slices.Sorted(maps.Keys(bundles))
	for i, name := range names {
		for _, other := range names[i+1:] {
			if a, b, overlap := overlapOf(bundles[name].Roots, bundles[other].Roots); overlap {
				return nil, fmt.Errorf("the bundles %s and %s overlap: both have %s", name, other, longer(a, b))
			}
		}
	}
	below := rootOf(bundles)
	files := map[string][]byte{}
	data := map[string][]File{} // by folder
	for _, name := range names {
		for _, f := range bundles[name].Files {
			dir := path.Join(below, path.Dir(f.Path))
			if isPolicy(path.Base(f.Path)) {
				files[path.Join(dir, fileName(names, name, f.Path))] = f.Content
			} else {
				data[dir] = append(data[dir], f)
			}
		}
	}
	if err := putData(files, data, len(names) > 1); err != nil {
		return nil, err
	}
	manifests, err := manifestsOf(bundles)
	if err != nil {
		return nil, err
	}
	own := path.Join(below, "system", "bundles", "data.json")
	if files[own] != nil {
		return nil, fmt.Errorf("%s: data.system.bundles is for the manifests of the bundles", path.Base(own))
	}
	files[own] = manifests
	if !slices.ContainsFunc(slices.Collect(maps.Keys(files)), isPolicy) {
		// What holds no policy at all is refused elsewhere, since most often it is the wrong directory. Bundles of data alone
		// are meant so.
		files[path.Join(below, "system", "bundles.rego")] = []byte("package system\n")
	}
	return previous.Replace(files)
}

// fileName keeps the modules apart that two bundles have under one name.
func fileName(names []string, name, p string) string {
	if len(names) == 1 {
		return path.Base(p)
	}
	plain := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:`, r) {
			return '-'
		}
		return r
	}, name)
	return plain + "." + path.Base(p)
}

func overlapOf(a, b []string) (one, other string, overlap bool) {
	for _, x := range a {
		for _, y := range b {
			if within(x, y) || within(y, x) {
				return x, y, true
			}
		}
	}
	return "", "", false
}

func longer(a, b string) string {
	if len(a) < len(b) {
		a = b
	}
	if a == "" {
		return "everything"
	}
	return a
}

// putData puts the data of each folder there. Of several bundles, it becomes one file.
func putData(files map[string][]byte, data map[string][]File, several bool) error {
	for dir, parts := range data {
		if !several || len(parts) == 1 {
			for _, f := range parts {
				files[path.Join(dir, path.Base(f.Path))] = f.Content
			}
			continue
		}
		whole := map[string]any{}
		for _, f := range parts {
			var one map[string]any
			if err := util.Unmarshal(f.Content, &one); err != nil {
				return fmt.Errorf("%s: %w", f.Path, err)
			}
			join(whole, one)
		}
		text, err := json.Marshal(whole)
		if err != nil {
			return err
		}
		files[path.Join(dir, "data.json")] = text
	}
	return nil
}

// join puts one document into another. Where both have a value, roots would overlap.
func join(into, from map[string]any) {
	for name, v := range from {
		here, isObject := into[name].(map[string]any)
		there, bothAre := v.(map[string]any)
		if isObject && bothAre {
			join(here, there)
			continue
		}
		into[name] = v
	}
}

// manifestsOf is the text of data.system.bundles.
func manifestsOf(bundles map[string]*Bundle) ([]byte, error) {
	all := map[string]any{}
	for name, b := range bundles {
		manifest := map[string]any{"revision": b.Revision, "roots": b.Roots}
		if b.Manifest != nil {
			if err := util.UnmarshalJSON(bytes.TrimSpace(b.Manifest), &manifest); err != nil {
				return nil, fmt.Errorf("bundle %s: %s: %w", name, ManifestName, err)
			}
			manifest["revision"], manifest["roots"] = b.Revision, b.Roots
		}
		all[name] = map[string]any{"manifest": manifest}
	}
	return json.Marshal(all)
}

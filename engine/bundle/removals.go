package bundle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// removalsKey is what a manifest's metadata calls the removals that are meant.
const removalsKey = "accept_removals"

// Removals name what a bundle lacks on purpose and what its sidecars would else not let go of. Its manifest says so:
//
//	{"metadata": {"accept_removals": {"packages": ["defenseclaw/firewall"], "files": ["data.json"]}}}
//
// Those that are not within the bundle's roots are another bundle's, and left out.
type Removals struct {
	Packages [][]string // the names of a path below data
	Files    []string   // of data, by their paths in the bundle
}

// readRemovals reads them. They are a part of what is signed.
func (b *Bundle) readRemovals() error {
	said, ok := b.Metadata[removalsKey]
	if !ok {
		return nil
	}
	var r struct{ Packages, Files []string }
	text, err := json.Marshal(said)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return fmt.Errorf("%s: metadata.%s: an object with lists packages and files was expected", ManifestName, removalsKey)
	}
	owned := func(p string) bool {
		return slices.ContainsFunc(b.Roots, func(root string) bool { return within(p, root) })
	}
	for _, name := range r.Packages {
		if name = strings.Trim(name, "/"); name != "" && owned(name) {
			b.Removals.Packages = append(b.Removals.Packages, strings.Split(name, "/"))
		}
	}
	for _, name := range r.Files {
		b.Removals.Files = append(b.Removals.Files, strings.Trim(name, "/"))
	}
	return nil
}

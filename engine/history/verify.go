package history

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// unpacked is the content of an entry. It is sound if verify has passed.
type unpacked struct {
	info   Info
	merged bool
	files  []sourceFile // by rel
}

type sourceFile struct {
	rel   string // as in the policy directory, below Info.Root
	bytes []byte // nil when only hashes were asked for
	sum   [sha256.Size]byte
}

func (u *unpacked) describe(m *bundle.Manifest) error {
	number, _ := m.Metadata[metaFormat].(json.Number)
	format, err := number.Int64()
	switch {
	case err != nil || format < 1:
		return fmt.Errorf("%s: its metadata has no format: it is no entry", manifestName)
	case format > entryFormat:
		return &laterFormatError{format}
	}
	root, _ := m.Metadata[metaRoot].(string)
	if root != "." && root != "rego" {
		return fmt.Errorf("%s: root %q", manifestName, root)
	}
	u.info = Info{Revision: m.Revision, Root: root}
	u.merged, _ = m.Metadata[metaMerged].(bool)
	u.info.Version, _ = m.Metadata[metaVersion].(string)
	u.info.Generation, u.info.Seq = countOf(m.Metadata[metaGeneration]), countOf(m.Metadata[metaSeq])
	u.info.Trigger, _ = m.Metadata[metaTrigger].(string)
	u.info.Actor, _ = m.Metadata[metaActor].(string)
	u.info.Verified = verifiedOf(m.Metadata[metaVerified])
	if at, ok := m.Metadata[metaLoadedAt].(string); ok {
		t, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			return fmt.Errorf("%s: %w", manifestName, err)
		}
		u.info.LoadedAt = t.UTC()
	}
	return nil
}

// countOf is zero for what is no count.
func countOf(v any) uint64 {
	n, _ := v.(json.Number)
	i, err := n.Int64()
	if err != nil || i < 0 {
		return 0
	}
	return uint64(i)
}

// relOf returns the path that a file had in the policy directory, relative to the root.
func (u *unpacked) relOf(name string) (string, error) {
	rel := name
	if u.merged {
		original, ok := strings.CutSuffix(name, sourceSuffix)
		if ok != isData(original) {
			return "", fmt.Errorf("%q has no place in an entry with merged data", name)
		}
		rel = original
	}
	if !source.Relevant(rel) || isOverlay(rel) && strings.Contains(rel, "/") {
		return "", fmt.Errorf("%q is neither policy nor data", name)
	}
	return rel, nil
}

// verify recomputes the revision, and checks that the engine will find these files and no others.
func (u *unpacked) verify() error {
	slices.SortFunc(u.files, func(a, b sourceFile) int { return strings.Compare(a.rel, b.rel) })
	if got := u.revision(); got != u.info.Revision {
		return fmt.Errorf("its files have revision %s; its manifest says %s", got, u.info.Revision)
	}
	modules := 0
	folders := map[string]bool{}
	for _, f := range u.files {
		if !isData(f.rel) {
			modules++
		}
		if u.info.Root == "." && strings.HasPrefix(f.rel, "rego/") && !isData(f.rel) {
			return fmt.Errorf("%q would be served instead of the files outside its folder", f.rel)
		}
		for dir := path.Dir(f.rel); !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	for _, f := range u.files {
		if folders[f.rel] {
			return fmt.Errorf("%q is both a file and a folder", f.rel)
		}
	}
	if modules == 0 {
		return engine.ErrNoPolicy
	}
	return nil
}

// revision hashes as the engine does. TestTheRevisionIsTheEngines compares the two.
func (u *unpacked) revision() string {
	h := sha256.New()
	for _, f := range u.files {
		fmt.Fprintf(h, "%d:%s\n%x\n", len(f.rel), f.rel, f.sum)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// isClean refuses every path that could lead out of the directory, on any system.
func isClean(name string) bool {
	return name != "" && name != "." && path.Clean(name) == name && !path.IsAbs(name) &&
		name != ".." && !strings.HasPrefix(name, "../") && !strings.ContainsRune(name, 0) &&
		len(name) <= maxNameBytes && strings.Count(name, "/") < maxNameParts
}

package bundle

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// checkRoots refuses policy and data outside of the roots.
func (b *Bundle) checkRoots() error {
	if slices.Contains(b.Roots, "") {
		return nil
	}
	for _, f := range b.Files {
		var err error
		if isPolicy(path.Base(f.Path)) {
			err = b.checkModule(f)
		} else {
			err = b.checkData(f)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return nil
}

func (b *Bundle) permits(p string) error {
	if slices.ContainsFunc(b.Roots, func(root string) bool { return within(p, root) }) {
		return nil
	}
	return fmt.Errorf("the manifest's roots %q do not permit %s", b.Roots, p)
}

func (b *Bundle) checkModule(f File) error {
	pkg, err := packageOf(f.Content)
	if err != nil || pkg == nil {
		return nil //nolint:nilerr // what does not parse is refused, with its place, by the engine
	}
	return b.permits(slashPath(pkg))
}

// checkData looks at the members of a data file as far down as a root may begin.
func (b *Bundle) checkData(f File) error {
	var document any
	if err := util.Unmarshal(f.Content, &document); err != nil {
		return nil //nolint:nilerr // the engine says where
	}
	dir := path.Dir(f.Path)
	if dir == "." {
		dir = ""
	}
	return b.checkValue(dir, document)
}

func (b *Bundle) checkValue(at string, v any) error {
	err := b.permits(at)
	if err == nil {
		return nil
	}
	members, ok := v.(map[string]any)
	if !ok || !b.above(at) {
		return err
	}
	for _, name := range util.KeysSorted(members) {
		if err := b.checkValue(path.Join(at, name), members[name]); err != nil {
			return err
		}
	}
	return nil
}

// above reports whether a root begins below a path.
func (b *Bundle) above(at string) bool {
	return slices.ContainsFunc(b.Roots, func(root string) bool { return within(root, at) })
}

// packageOf finds the package of a module without parsing the rest; nil without one.
func packageOf(module []byte) (ast.Ref, error) {
	lines := bufio.NewScanner(bytes.NewReader(module))
	lines.Buffer(nil, len(module)+1)
	for lines.Scan() {
		line, _, _ := strings.Cut(strings.TrimSpace(lines.Text()), "#")
		if line == "" {
			continue
		}
		name, ok := strings.CutPrefix(line, "package")
		if !ok {
			return nil, errors.New("begins with no package")
		}
		name, _, _ = strings.Cut(strings.TrimSpace(name), ";")
		ref, err := ast.ParseRef("data." + strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		return ref[1:], nil
	}
	return nil, lines.Err()
}

func slashPath(ref ast.Ref) string {
	parts := make([]string, len(ref))
	for i, t := range ref {
		parts[i] = strings.Trim(t.Value.String(), `"`)
	}
	return strings.Join(parts, "/")
}

// Package pack finds the policy that an author works on, from the directory where he stands. The root of a policy is recorded
// where Rego's other tools record it: in the configuration of Regal, or by the file .manifest of a bundle. Most callers need
// [Find].
package pack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ConfigName is the file in a project's folder that records the roots of its policy.
const ConfigName = ".regal.yaml"

// configs are where Regal has its configuration, the one that it prefers first.
var configs = []string{".regal/config.yaml", ConfigName}

// ErrNone means that the directory neither holds policy nor lies in a project that has some.
var ErrNone = errors.New("no policy is here")

// Found is a policy directory.
type Found struct {
	Dir string // relative to the directory of the search
	Why string // a phrase for people
}

// Find returns the policy of dir: the one whose root is recorded in dir or in a folder above it, else dir itself if that holds
// Rego. The folder of a Git repository is the last that is looked at. The error is [ErrNone] if there is no such policy; another one
// says what is wrong with a record, or that it leaves a choice.
func Find(dir string) (Found, error) {
	at, err := filepath.Abs(dir)
	if err != nil {
		return Found{}, err
	}
	for folder := at; ; folder = filepath.Dir(folder) {
		root, why, err := recorded(folder, at)
		if err != nil {
			return Found{}, err
		}
		if root != "" {
			return Found{Dir: relative(at, root), Why: why}, nil
		}
		if isRepository(folder) || folder == filepath.Dir(folder) {
			break
		}
	}
	if HoldsRego(at) {
		return Found{Dir: ".", Why: "the working directory holds Rego"}, nil
	}
	return Found{}, ErrNone
}

// recorded returns the root that the records of a folder give to at, which is the folder or lies in it; empty if there is none.
func recorded(folder, at string) (root, why string, err error) {
	if folder != at && isWritableByAll(folder) {
		return "", "", nil // anybody may have put a record there
	}
	if isFile(filepath.Join(folder, ".manifest")) {
		return folder, "the file .manifest marks its root", nil
	}
	for _, name := range configs {
		roots, found, err := readRoots(folder, name)
		switch {
		case err != nil:
			return "", "", fmt.Errorf("%s: %w", relative(at, filepath.Join(folder, name)), err)
		case !found:
			continue
		case len(roots) == 0:
			return folder, name + " marks its root", nil
		}
		root, err := choose(folder, name, roots, at)
		return root, name + " names it in project.roots", err
	}
	if info, err := os.Stat(filepath.Join(folder, ".regal")); err == nil && info.IsDir() {
		return folder, "the folder .regal marks its root", nil
	}
	return "", "", nil
}

// choose returns the root in which at lies, or the only one.
func choose(folder, config string, roots []string, at string) (string, error) {
	best := ""
	for _, name := range roots {
		root := filepath.Join(folder, filepath.FromSlash(name))
		if (at == root || strings.HasPrefix(at, root+string(filepath.Separator))) && len(root) > len(best) {
			best = root
		}
	}
	switch {
	case best != "":
		return best, nil
	case len(roots) > 1:
		return "", fmt.Errorf("%s names %d roots of policy: name one of them: %s", relative(at, filepath.Join(folder, config)), len(roots), strings.Join(roots, ", "))
	}
	root := filepath.Join(folder, filepath.FromSlash(roots[0]))
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return "", fmt.Errorf("%s names the root %s, and there is no such directory", relative(at, filepath.Join(folder, config)), roots[0])
	}
	return root, nil
}

// Recorded lists the roots that the configuration in a folder names, as it names them; none if it names none.
func Recorded(folder string) []string {
	for _, name := range configs {
		if roots, found, err := readRoots(folder, name); err == nil && found {
			return roots
		}
	}
	return nil
}

// HasConfig returns the name of the configuration that a folder has, or else an empty text.
func HasConfig(folder string) string {
	for _, name := range configs {
		if isFile(filepath.Join(folder, filepath.FromSlash(name))) {
			return name
		}
	}
	return ""
}

// maxConfigBytes is far more than a configuration has.
const maxConfigBytes = 1 << 20

// readRoots reads the roots in a configuration, if there is one.
func readRoots(folder, name string) (roots []string, found bool, err error) {
	path := filepath.Join(folder, filepath.FromSlash(name))
	if !isFile(path) { // it may be a pipe, which blocks who opens it
		return nil, false, nil
	}
	file, err := os.Open(path) //nolint:gosec // the author's own
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(file, maxConfigBytes))
	if err != nil {
		return nil, false, err
	}
	roots, err = parseRoots(text)
	return roots, true, err
}

// parseRoots returns the roots that the text of a configuration names: as texts, or as objects with a path.
func parseRoots(text []byte) ([]string, error) {
	var config struct {
		Project struct {
			Roots []yaml.Node `yaml:"roots"`
		} `yaml:"project"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, err
	}
	var roots []string
	for _, node := range config.Project.Roots {
		object := struct {
			Path string `yaml:"path"`
		}{node.Value}
		if node.Kind == yaml.MappingNode {
			if err := node.Decode(&object); err != nil {
				return nil, err
			}
		}
		root := filepath.ToSlash(filepath.Clean(object.Path))
		if object.Path == "" || !filepath.IsLocal(root) {
			return nil, fmt.Errorf("line %d: the root %q: a folder in the project was expected", node.Line, object.Path)
		}
		if !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
	return roots, nil
}

// HoldsRego reports whether dir, or its folder rego, has a file of Rego.
func HoldsRego(dir string) bool {
	for _, d := range []string{dir, filepath.Join(dir, "rego")} {
		entries, _ := os.ReadDir(d) // a directory that cannot be read has none to work on
		if slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
			return !e.IsDir() && strings.HasSuffix(e.Name(), ".rego") && !strings.HasPrefix(e.Name(), ".")
		}) {
			return true
		}
	}
	return false
}

// Below lists the folders in dir that hold Rego, as paths from there: what somebody may have meant who stands in dir.
func Below(dir string) (found []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && HoldsRego(filepath.Join(dir, e.Name())) {
			found = append(found, e.Name())
		}
	}
	return found
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func isRepository(folder string) bool {
	_, err := os.Lstat(filepath.Join(folder, ".git"))
	return err == nil
}

func isWritableByAll(folder string) bool {
	const others = 0o002
	info, err := os.Stat(folder)
	return err == nil && runtime.GOOS != "windows" && info.Mode()&others != 0
}

// relative is a path as somebody would type it who stands in at.
func relative(at, path string) string {
	if rel, err := filepath.Rel(at, path); err == nil {
		return rel
	}
	return path
}

package settings

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// PolicyFrom says where the policy that serves is from.
type PolicyFrom string

// The values of [PolicyFrom].
const (
	PolicySet      PolicyFrom = "set"      // the directory that a flag, the environment or config.yaml names
	PolicyFound    PolicyFrom = "found"    // the directory policies in the data directory
	PolicySourced  PolicyFrom = "source"   // what --source names, which is no directory
	PolicyEmbedded PolicyFrom = "embedded" // the default pack in the program
)

// policiesFolder is where a standard installation keeps its policy, in the data directory.
const policiesFolder = "policies"

// errDataDirIsPolicyDir is what is wrong with a data directory that is served as policy: the sidecar's own files would
// become data, and each that it writes would reload the policy.
var errDataDirIsPolicyDir = errors.New("the policy directory must not be the data directory itself")

// choosePolicy completes a setting that names a directory, or finds the directory where none is named.
func (s *Settings) choosePolicy() error {
	elsewhere, err := s.chooseSource()
	if err == nil {
		err = errors.Join(s.checkStale(), s.checkObserve())
	}
	if elsewhere || err != nil {
		return err
	}
	switch {
	case s.PolicyDir == "" && s.policySource != "":
		s.PolicyFrom, s.PolicyWhy = PolicyEmbedded, s.policySource+" is empty"
		return nil
	case s.PolicyDir == "":
		s.PolicyDir, s.PolicyFrom, s.PolicyWhy = s.FindPolicy()
		return nil
	}
	s.PolicyFrom, s.PolicyWhy = PolicySet, "set by "+s.policySource
	return s.CheckPolicyDir()
}

// EmbeddedChosen reports whether an operator asked for the embedded pack, by an empty --policy-dir.
func (s Settings) EmbeddedChosen() bool { return s.PolicyDir == "" && s.policySource != "" }

// PolicyDirVariable names the policy directory in the environment.
const PolicyDirVariable = "DEFENSECLAW_POLICY_DIR"

// PolicyNamedBy is the flag, the variable or the key of config.yaml that sets PolicyDir, maybe to nothing; empty if none does.
func (s Settings) PolicyNamedBy() string { return s.policySource }

// CheckPolicyDir refuses a policy directory that is the data directory.
func (s Settings) CheckPolicyDir() error {
	if s.PolicyDir == "" || s.DataDir == "" {
		return nil
	}
	same := absolute(s.PolicyDir) == absolute(s.DataDir)
	if policy, err := os.Stat(s.PolicyDir); err == nil && !same {
		data, err := os.Stat(s.DataDir)
		same = err == nil && os.SameFile(policy, data) // by a link
	}
	if !same {
		return nil
	}
	return fmt.Errorf("%s: %w: use a directory in it, such as %s", s.PolicyDir, errDataDirIsPolicyDir, s.policiesDir())
}

// FindPolicy chooses the policy of a sidecar whose settings name no directory: policies in the data directory if that holds
// Rego, else the embedded pack, for which dir is empty. A directory that cannot be read, or that served before, is
// chosen too, even if it holds no Rego now: another policy must not serve because files are gone. why is a
// phrase for people.
func (s Settings) FindPolicy() (dir string, from PolicyFrom, why string) {
	dir = s.policiesDir()
	rego, err := holdsRego(dir)
	switch {
	case rego:
		return dir, PolicyFound, "found in the data directory; no policy directory is set"
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return dir, PolicyFound, "found in the data directory, and cannot be read: " + err.Error()
	case s.servedBefore(dir):
		return dir, PolicyFound, "served before from the data directory, and holds no Rego now; the embedded pack serves only once " +
			s.HistoryDir(dir) + " is removed too"
	case err != nil:
		return "", PolicyEmbedded, "no policy directory is set, and " + dir + " does not exist"
	default:
		return "", PolicyEmbedded, "no policy directory is set, and " + dir + " holds no Rego"
	}
}

// HistoryDir is where the last good policies of a place are kept: a policy directory, or the URL of a source.
func (s Settings) HistoryDir(place string) string {
	if !strings.Contains(place, "://") {
		place = absolute(place)
	}
	name := sha256.Sum256([]byte(place))
	return filepath.Join(s.DataDir, "history", hex.EncodeToString(name[:6]))
}

// SourceDir is where the bundles of a source are kept for the next start.
func (s Settings) SourceDir(place string) string {
	return filepath.Join(s.DataDir, "sources", filepath.Base(s.HistoryDir(place)))
}

// ControlFile is where the orders about a place are kept.
func (s Settings) ControlFile(place string) string {
	return filepath.Join(s.DataDir, "control", filepath.Base(s.HistoryDir(place))+".json")
}

// NewestCommitFile is where the commit is kept that served last from a policy directory.
func (s Settings) NewestCommitFile(policyDir string) string {
	return filepath.Join(s.DataDir, "control", filepath.Base(s.HistoryDir(policyDir))+".commit")
}

func (s Settings) policiesDir() string { return filepath.Join(s.DataDir, policiesFolder) }

func (s Settings) servedBefore(policyDir string) bool {
	kept, err := os.ReadDir(s.HistoryDir(policyDir))
	return err == nil && slices.ContainsFunc(kept, func(e fs.DirEntry) bool { return strings.HasSuffix(e.Name(), ".tar.gz") })
}

// holdsRego reports whether dir, or anything below its folder rego, is a .rego file that is served. Other folders of
// a standard installation hold Rego for other programs. The error is [fs.ErrNotExist] if there is no dir; one of a link
// that leads nowhere is not.
func holdsRego(dir string) (bool, error) {
	if _, err := os.Lstat(dir); err != nil {
		return false, err
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return false, fmt.Errorf("%s is not a directory", dir) // it may be a pipe, which blocks who opens it
	}
	entries, listErr := os.ReadDir(dir)
	if err = cmp.Or(err, listErr); err != nil {
		return false, fmt.Errorf("list it: %v", err) //nolint:errorlint // that a link dangles does not mean that there is none
	}
	for _, e := range entries {
		if isModule(e.Name()) && !e.IsDir() {
			return true, nil
		}
	}
	const maxDepth = 16
	return regoBelow(filepath.Join(dir, "rego"), maxDepth)
}

func regoBelow(dir string, depth int) (bool, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() || depth == 0 {
		return false, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, fmt.Errorf("list %s: %w", filepath.Base(dir), err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name())) // what a link leads to
		switch {
		case err != nil:
		case info.IsDir():
			if rego, err := regoBelow(filepath.Join(dir, e.Name()), depth-1); rego || err != nil {
				return rego, err
			}
		case isModule(e.Name()):
			return true, nil
		}
	}
	return false, nil
}

func isModule(name string) bool {
	return filepath.Ext(name) == ".rego" && !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, "_test.rego")
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

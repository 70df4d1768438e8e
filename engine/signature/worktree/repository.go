package worktree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// repository reads objects and references. It is opened anew for each look, since git packs and prunes meanwhile.
type repository struct {
	storage *filesystem.Storage
	prefix  string // slash path of the policy directory in the work tree; empty at its top
}

// errNoRepository says that the directory lies in no work tree.
var errNoRepository = errors.New("the policy directory lies in no work tree of git")

const (
	maxLevels      = 64
	maxPointer     = 4 << 10 // bytes of .git and commondir, where they are files
	maxObjectBytes = 32 << 20
)

// openRepository finds the work tree that holds the directory.
func openRepository(dir string) (*repository, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return nil, err
	}
	top := real
	for range maxLevels {
		info, err := os.Stat(filepath.Join(top, ".git"))
		if err == nil {
			gitDir, err := gitDirOf(top, info)
			if err != nil {
				return nil, err
			}
			rel, err := filepath.Rel(top, real)
			if err != nil {
				return nil, err
			}
			if rel == "." {
				rel = ""
			}
			return openGitDir(gitDir, filepath.ToSlash(rel))
		}
		if up := filepath.Dir(top); up != top {
			top = up
			continue
		}
		break
	}
	return nil, errNoRepository
}

// gitDirOf follows the file that a linked work tree or a submodule has.
func gitDirOf(top string, info fs.FileInfo) (string, error) {
	path := filepath.Join(top, ".git")
	if info.IsDir() {
		return path, nil
	}
	text, err := pointer(path)
	if err != nil {
		return "", err
	}
	to, ok := strings.CutPrefix(text, "gitdir: ")
	if !ok {
		return "", fmt.Errorf("%s says nothing of a repository", path)
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(top, to)
	}
	return to, nil
}

// pointer reads a file that names a path. A pipe would block.
func pointer(path string) (string, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return "", err
	}
	in, err := os.Open(path) //nolint:gosec // of the work tree that holds the policy
	if err != nil {
		return "", err
	}
	defer in.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(in, maxPointer))
	return strings.TrimSpace(string(text)), err
}

func openGitDir(gitDir, prefix string) (*repository, error) {
	if _, err := os.Stat(gitDir); err != nil {
		return nil, fmt.Errorf("the repository of the policy directory: %w", err)
	}
	var common billy.Filesystem
	if text, err := pointer(filepath.Join(gitDir, "commondir")); err == nil {
		if !filepath.IsAbs(text) {
			text = filepath.Join(gitDir, text)
		}
		common = osfs.New(text, osfs.WithBoundOS())
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	files := dotgit.NewRepositoryFilesystem(osfs.New(gitDir, osfs.WithBoundOS()), common)
	storage := filesystem.NewStorageWithOptions(files, cache.NewObjectLRU(8*cache.MiByte), filesystem.Options{
		LargeObjectThreshold: maxObjectBytes, AlternatesFS: osfs.New("/", osfs.WithBoundOS()),
	})
	r := &repository{storage, prefix}
	return r, r.supported()
}

// supported refuses formats that the library would read wrongly.
func (r *repository) supported() error {
	cfg, err := r.storage.Config()
	if err != nil {
		return fmt.Errorf("read the settings of the repository: %w", err)
	}
	extensions := cfg.Raw.Section("extensions")
	if format := strings.ToLower(extensions.Option("objectformat")); format != "" && format != "sha1" {
		return fmt.Errorf("the repository has objects with %s; SHA-1 was expected", format)
	}
	if format := strings.ToLower(extensions.Option("refstorage")); format != "" && format != "files" {
		return fmt.Errorf("the repository keeps its references as %s; files were expected: git refs migrate --ref-format=files", format)
	}
	return nil
}

// head is the commit that is checked out.
func (r *repository) head() (plumbing.Hash, error) {
	ref, err := storer.ResolveReference(r.storage, plumbing.HEAD)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return plumbing.ZeroHash, errors.New("the repository has no commit yet")
	}
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("read HEAD: %w", err)
	}
	return ref.Hash(), nil
}

// read gives the bytes of an object, which are hashed again: an index of a pack may lead anywhere.
func (r *repository) read(kind plumbing.ObjectType, hash plumbing.Hash) ([]byte, error) {
	object, err := r.storage.EncodedObject(kind, hash)
	if err != nil {
		return nil, fmt.Errorf("read the %s %s: %w", kind, hash, err)
	}
	if object.Size() > maxObjectBytes {
		return nil, fmt.Errorf("the %s %s has more than %d bytes", kind, hash, maxObjectBytes)
	}
	in, err := object.Reader()
	if err != nil {
		return nil, fmt.Errorf("read the %s %s: %w", kind, hash, err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	content, err := io.ReadAll(io.LimitReader(in, maxObjectBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the %s %s: %w", kind, hash, err)
	}
	if plumbing.ComputeHash(kind, content) != hash {
		return nil, fmt.Errorf("the %s %s is damaged: its bytes have another hash", kind, hash)
	}
	return content, nil
}

func (r *repository) commit(hash plumbing.Hash) (signedObject, commit, error) {
	raw, err := r.read(plumbing.CommitObject, hash)
	if err != nil {
		return signedObject{}, commit{}, err
	}
	object, err := splitCommit(raw)
	if err != nil {
		return object, commit{}, fmt.Errorf("the commit %s: %w", hash, err)
	}
	c, err := object.commit()
	if err != nil {
		return object, c, fmt.Errorf("the commit %s: %w", hash, err)
	}
	return object, c, nil
}

package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// errLink is wrapped by the error of opening a symbolic link that is not followed. The walker tells it from a link
// that dangles: the former is an error whatever its name, since something may lie behind it.
var errLink = errors.New("is a symbolic link that is not followed")

// Dir is a directory as an [fs.FS], opened once: when its path comes to mean another directory
// (a swapped link, a renamed parent) this Dir still reads the one it opened, so that one reading
// never mixes two. Opening a FIFO or a device does not block. Links are followed inside the
// directory; links that lead out of it are refused unless AllowOutside was asked for.
// Close it after use. Safe for concurrent use.
type Dir struct {
	path         string
	root         *os.Root
	allowOutside bool
	overlays     []string
}

// Config says how a [Dir] treats what it finds.
type Config struct {
	AllowOutside bool     // follow symbolic links that lead out of the directory
	Overlays     []string // names of overlays, besides data-sandbox.json
}

// Open opens the directory at path, which may be a symbolic link to one.
// The error says what the path is instead of a directory.
func Open(path string, cfg Config) (*Dir, error) {
	// OpenRoot opens before it looks: with a FIFO in the place of the directory it would wait for a writer, and the start
	// with it.
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	var root *os.Root
	if err == nil {
		root, err = os.OpenRoot(path)
	}
	if err != nil { // only the cause of a path error is kept, since the message names the path already
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return nil, fmt.Errorf("policy directory %s: %w", path, err)
	}
	return &Dir{path: path, root: root, allowOutside: cfg.AllowOutside, overlays: cfg.Overlays}, nil
}

// Overlays makes a Dir an [Overlaid].
func (d *Dir) Overlays() []string { return d.overlays }

// Close ends the use of the directory.
func (d *Dir) Close() error { return d.root.Close() }

// Open opens a file or directory for reading. It tries [os.Root] first, which decides about links without a race;
// only what that refuses is looked at again.
func (d *Dir) Open(name string) (fs.File, error) {
	// O_NONBLOCK: a FIFO without a writer would hold the open for ever.
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	f, err := d.root.OpenFile(name, flags, 0)
	if err == nil {
		return f, nil
	}
	inside, err := d.follow(name, err)
	if err != nil {
		return nil, err
	}
	if inside != "" {
		return d.root.OpenFile(inside, flags, 0)
	}
	return os.OpenFile(filepath.Join(d.path, name), flags, 0) //nolint:gosec // the operator allowed links out of the directory
}

// Stat follows links as Open does.
func (d *Dir) Stat(name string) (fs.FileInfo, error) {
	info, err := d.root.Stat(name)
	if err == nil {
		return info, nil
	}
	inside, err := d.follow(name, err)
	if err != nil {
		return nil, err
	}
	if inside != "" {
		return d.root.Stat(inside)
	}
	return os.Stat(filepath.Join(d.path, name))
}

// follow decides about a name that os.Root would not reach. It returns the name's place inside the
// directory where an absolute link leads back into it, "" where a link out of it is allowed, and
// an error otherwise.
func (d *Dir) follow(name string, cause error) (inside string, err error) {
	if errors.Is(cause, syscall.ELOOP) {
		return "", fmt.Errorf("%w: it leads round in a circle", errLink)
	}
	var pathErr *fs.PathError
	if !errors.As(cause, &pathErr) || errors.As(cause, new(syscall.Errno)) {
		return "", cause // the system's own error; os.Root's refusal to leave has no number
	}
	// os.Root refuses every absolute link, one that leads back into the directory included. Both paths are
	// resolved, since the directory's own may go through a link.
	top, err := filepath.EvalSymlinks(d.path)
	if err != nil {
		return "", cause
	}
	real, err := filepath.EvalSymlinks(filepath.Join(d.path, name))
	if err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(top, real); err == nil && filepath.IsLocal(rel) {
		return rel, nil
	}
	if d.allowOutside {
		return "", nil
	}
	return "", fmt.Errorf("%w: it leads out of the policy directory", errLink)
}

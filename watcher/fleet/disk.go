package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"defenseclaw/watcher/fleet/delta"
)

// disk keeps releases for the next start: parts, which are deltas as package delta packs them, and one file that says which
// parts make which release, and whose record asked for it. A file is written aside, synced and renamed, so a crash leaves
// the one before or the new one, whole.
type disk struct {
	dir  string
	has  map[string]int64 // the sizes of the parts that are there
	step func(string)     // is told what comes next, for tests; nil
}

// stateName is the file that names all others. What it does not name is swept away.
const stateName = "state.json"

// partSuffix is that of the files of parts.
const partSuffix = ".zst"

// state is the content of the file.
type state struct {
	V       int    `json:"v"`
	Channel string `json:"channel"`
	Floor   uint64 `json:"floor"` // no record is taken whose epoch is lower
	Good    *kept  `json:"good"`  // what served last; null: nothing did
	Next    *kept  `json:"next"`  // what was offered since, and is not known to serve; null: nothing
}

// kept is a release on disk.
type kept struct {
	Record   []byte   `json:"record"` // the message without its delta
	Revision string   `json:"revision"`
	Parts    []string `json:"parts"` // file names: a snapshot, and the deltas that follow it
}

// openDisk reads what is kept. The disk is nil if it cannot be used at all.
func openDisk(dir string) (*disk, state, error) {
	d := &disk{dir: dir, has: map[string]int64{}, step: func(string) {}}
	var s state
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, s, err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, s, err
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil && strings.HasSuffix(f.Name(), partSuffix) {
			d.has[f.Name()] = info.Size()
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, stateName))
	if errors.Is(err, fs.ErrNotExist) {
		return d, s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err == nil && s.V != stateVersion {
		err = fmt.Errorf("it has version %d, and %d was expected", s.V, stateVersion)
	}
	if err != nil { // nothing is known, as for one that starts for the first time
		return d, state{}, fmt.Errorf("%s: %w", filepath.Join(dir, stateName), err)
	}
	return d, s, nil
}

const stateVersion = 1

// unpack makes the files of a release.
func (d *disk) unpack(k *kept, limits delta.Limits) (delta.Set, error) {
	var set delta.Set
	revision := ""
	for _, name := range k.Parts {
		if filepath.Base(name) != name {
			return set, fmt.Errorf("%q is no name of a part", name)
		}
		packed, err := os.ReadFile(filepath.Join(d.dir, name))
		if err == nil {
			set, _, revision, err = delta.Apply(set, revision, packed, limits)
		}
		if err != nil {
			return set, fmt.Errorf("%s: %w", filepath.Join(d.dir, name), err)
		}
	}
	return set, nil
}

// part is a file of a release.
type part struct {
	name   string
	packed []byte
}

// write puts the parts there, and then the state.
func (d *disk) write(parts []part, s state) error {
	for _, p := range parts {
		if _, ok := d.has[p.name]; ok {
			continue
		}
		d.step("part")
		if err := d.replace(p.name, p.packed); err != nil {
			return err
		}
		d.has[p.name] = int64(len(p.packed))
	}
	s.V = stateVersion
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	d.step("state")
	if err := d.replace(stateName, append(text, '\n')); err != nil {
		return err
	}
	d.step("written")
	return nil
}

// replace makes a file durable before it has its name, and its name after.
func (d *disk) replace(name string, content []byte) (err error) {
	f, err := os.CreateTemp(d.dir, "*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	d.step("rename")
	if err = os.Rename(f.Name(), filepath.Join(d.dir, name)); err != nil {
		return err
	}
	return syncDir(d.dir)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrInvalid) || errors.Is(err, os.ErrPermission) {
		err = nil // some systems cannot sync a folder
	}
	return errors.Join(err, f.Close())
}

// sweep removes what nothing needs any more. What cannot be removed is tried again the next time.
func (d *disk) sweep(needed map[string]bool) {
	files, err := os.ReadDir(d.dir)
	if err != nil {
		return
	}
	for _, f := range files {
		part, left := strings.HasSuffix(f.Name(), partSuffix), strings.HasSuffix(f.Name(), ".tmp")
		if (part || left) && !needed[f.Name()] && os.Remove(filepath.Join(d.dir, f.Name())) == nil {
			delete(d.has, f.Name())
		}
	}
}

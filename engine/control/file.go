package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"defenseclaw/engine/durable"
)

// format is that of the file. A file of a later one counts as damaged: what it orders is not understood.
const format = 1

// onDisk is the content of the file.
type onDisk struct {
	Format int  `json:"format"`
	Mode   Mode `json:"mode"`                     // for people; the rest says it, too
	Keeps  bool `json:"keeps_approved,omitempty"` // Approved has all that served; else it has what was ordered
	Record
}

const maxFileBytes = 1 << 20

// read returns what a file holds, the zero one if there is no file. Whatever else is there is an error: an order
// that cannot be read may have been one that keeps a policy from serving.
func read(path string) (onDisk, error) {
	named, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return onDisk{}, nil
	}
	if err != nil {
		return onDisk{}, err
	}
	if !named.Mode().IsRegular() {
		return onDisk{}, errors.New("it is not a regular file")
	}
	in, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the governor's own
	if err != nil {
		return onDisk{}, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(in, maxFileBytes+1))
	if err != nil {
		return onDisk{}, err
	}
	if len(text) > maxFileBytes {
		return onDisk{}, fmt.Errorf("it has more than %d bytes", maxFileBytes)
	}
	var was onDisk
	if err := json.Unmarshal(text, &was); err != nil {
		return onDisk{}, err
	}
	switch {
	case was.Format != format:
		return onDisk{}, fmt.Errorf("it has format %d; %d was expected", was.Format, format)
	case was.Mode != was.Record.Mode():
		return onDisk{}, fmt.Errorf("it says %q, and what it holds means %q", was.Mode, was.Record.Mode())
	}
	return was, was.check()
}

// check finds what no transition leaves behind.
func (r Record) check() error {
	switch w, h := r.Confirming, r.Held; {
	case w != nil && (w.Base == "" || w.Candidate == "" || w.Deadline.IsZero()):
		return errors.New("what waits to be confirmed is incomplete")
	case h != nil && h.Digest != "" && h.Candidate == "":
		return errors.New("what is held is incomplete")
	}
	return nil
}

// write replaces the file: it is written aside, and on disk before it gets its name.
func write(path string, r Record, keeps bool) error {
	text, err := json.MarshalIndent(onDisk{format, r.Mode(), keeps, r}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, "."+filepath.Base(path)+".", append(text, '\n'))
}

// putAside renames a damaged file: it is evidence, and must not be read again.
func putAside(path string, now time.Time) (string, error) {
	aside := path + ".damaged-" + now.UTC().Format("20060102T150405.000000Z")
	if err := os.Rename(path, aside); err != nil {
		return "", err
	}
	return aside, nil
}

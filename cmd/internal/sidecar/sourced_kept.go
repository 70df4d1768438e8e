package sidecar

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
)

// keptBundles are the bundles as they were sent last, in files, so that the next start has them, and asks for news only.
type keptBundles struct{ dir string }

// keptBundle is the first line of such a file; what follows are the bundle's own bytes. Being one file, the two cannot be of
// different versions.
type keptBundle struct {
	URL  string `json:"url"`
	ETag string `json:"etag"`
}

func (k keptBundles) path(name string) string {
	return filepath.Join(k.dir, url.PathEscape(name)+".bundle")
}

// remove removes what is kept of a bundle, if anything is.
func (k keptBundles) remove(name string) error {
	err := os.Remove(k.path(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// open returns what is kept of a bundle.
func (k keptBundles) open(name string) (of keptBundle, in io.ReadCloser, err error) {
	f, err := os.Open(k.path(name))
	if err != nil {
		return of, nil, err
	}
	r := bufio.NewReader(f)
	line, err := r.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &of)
	}
	if err != nil {
		return of, nil, errors.Join(fmt.Errorf("%s: %w", f.Name(), err), f.Close())
	}
	return of, struct {
		io.Reader
		io.Closer
	}{r, f}, nil
}

// keptFile is a file that is being written. A fault of the disk is told at its end, and hurts nobody before.
type keptFile struct {
	to   string
	file *os.File // nil if there is none
	err  error
}

// begin never returns nil: with an error, what is written goes nowhere.
func (k keptBundles) begin(name string, of keptBundle) (*keptFile, error) {
	line, err := json.Marshal(of)
	if err == nil {
		err = os.MkdirAll(k.dir, 0o700)
	}
	if err != nil {
		return &keptFile{}, err
	}
	f, err := os.CreateTemp(k.dir, "*.tmp")
	if err != nil {
		return &keptFile{}, err
	}
	kept := &keptFile{to: k.path(name), file: f}
	_, _ = kept.Write(append(bytes.TrimSpace(line), '\n'))
	return kept, nil
}

// Write never fails: see [keptFile.end].
func (k *keptFile) Write(p []byte) (int, error) {
	if k.file != nil && k.err == nil {
		_, k.err = k.file.Write(p)
	}
	return len(p), nil
}

func (k *keptFile) drop() {
	if k.file != nil {
		_ = k.file.Close()
		_ = os.Remove(k.file.Name())
	}
}

// end puts the file into its place. A crash leaves the one before or this one, whole.
func (k *keptFile) end() error {
	if k.file == nil {
		return nil
	}
	err := errors.Join(k.err, k.file.Sync(), k.file.Close())
	if err == nil {
		err = os.Rename(k.file.Name(), k.to)
	}
	if err != nil {
		_ = os.Remove(k.file.Name())
	}
	return err
}

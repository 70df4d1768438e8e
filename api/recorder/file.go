package recorder

import (
	"bytes"
	"compress/gzip"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"defenseclaw/engine/review/records"
)

// FileName is the name of the file in the directory: events of OPA's decision log, one a line, compressed.
const FileName = "records.jsonl.gz"

const (
	keyBytes     = 32
	asideSuffix  = ".damaged"
	maxFileBytes = 1 << 30
	sealedMark   = "DCREC1\n" // begins a file that is sealed, and is authenticated with it
)

// file keeps records on disk. It is replaced as a whole: written aside, and on disk before it gets its name. read, write and
// remove are called by one goroutine at a time, but for remove and write, which may meet.
type file struct {
	path    string
	key     []byte // nil: it is not sealed
	unsaved int    // records that came since the last save; guarded by the recorder's lock
}

// read returns what is in the file; nothing if there is none.
func (f *file) read() (all []records.Record, err error) {
	named, err := os.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !named.Mode().IsRegular() || named.Size() > maxFileBytes {
		return nil, fmt.Errorf("read %s: it is no regular file of at most %d bytes", f.path, maxFileBytes)
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return nil, err
	}
	if text, err = f.open(text); err != nil {
		return nil, fmt.Errorf("read %s: %w", f.path, err)
	}
	packed, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.path, err)
	}
	for r, err := range records.Scan(io.LimitReader(packed, maxFileBytes)) {
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.path, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// write replaces the file, unless wanted says at the end that nobody wants it any more.
func (f *file) write(all []records.Record, wanted func() bool) (err error) {
	text, err := f.text(all)
	if err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, "."+FileName+".*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil && wanted() {
		err = os.Rename(temp.Name(), f.path)
	}
	if err != nil || !wanted() { // cleared in the meantime: no file may be left of it
		return errors.Join(err, removeAll(temp.Name()), f.removeIf(!wanted()))
	}
	return syncDir(dir)
}

func (f *file) removeIf(unwanted bool) error {
	if !unwanted {
		return nil
	}
	return f.remove()
}

func (f *file) text(all []records.Record) ([]byte, error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if err := errors.Join(records.Write(w, all), w.Close()); err != nil {
		return nil, err
	}
	return f.seal(packed.Bytes())
}

// seal encrypts the whole file at once: nothing of it can be left out, added or put elsewhere.
func (f *file) seal(text []byte) ([]byte, error) {
	if f.key == nil {
		return text, nil
	}
	aead, err := f.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal([]byte(sealedMark), nil, text, []byte(sealedMark)), nil
}

// open is the opposite of seal.
func (f *file) open(text []byte) ([]byte, error) {
	sealed, is := bytes.CutPrefix(text, []byte(sealedMark))
	switch {
	case is && f.key == nil:
		return nil, errors.New("it is encrypted, and there is no key")
	case !is && f.key != nil:
		return nil, errors.New("it is not encrypted, and there is a key")
	case f.key == nil:
		return text, nil
	}
	aead, err := f.aead()
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nil, sealed, []byte(sealedMark))
}

func (f *file) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(f.key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// putAside renames the file, so that it is neither read nor written again.
func (f *file) putAside() (string, error) {
	aside := f.path + asideSuffix
	return aside, os.Rename(f.path, aside)
}

// remove removes the file, and one that was put aside.
func (f *file) remove() error {
	return errors.Join(removeAll(f.path), removeAll(f.path+asideSuffix))
}

func removeAll(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes the names in a directory survive a crash. File systems that cannot sync a directory say so, and do not need it.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the recorder's own
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // it was only read
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

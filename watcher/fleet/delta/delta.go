package delta

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// ErrLimits is wrapped when a delta would unpack to more than [Limits] allow.
var ErrLimits = errors.New("it has more than is allowed")

// ErrFrom is wrapped when a delta is from another revision than the files it is applied to.
var ErrFrom = errors.New("it is from another revision")

// Limits bound what [Apply] unpacks. A zero takes the default.
type Limits struct {
	Files int   // of the result; 20,000
	Bytes int64 // of the result; 1 GiB
}

// WithDefaults puts the defaults in the place of zeros.
func (l Limits) WithDefaults() Limits {
	if l.Files == 0 {
		l.Files = 20_000
	}
	if l.Bytes == 0 {
		l.Bytes = 1 << 30
	}
	return l
}

// header is the first line.
type header struct {
	From    string   `json:"from"` // a revision; empty: nothing
	To      string   `json:"to"`
	Removed []string `json:"removed,omitempty"`
	Files   []entry  `json:"files,omitempty"`
}

type entry struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"` // of the file
	SHA256 string `json:"sha256"`
	Patch  int64  `json:"patch,omitempty"` // the size of the patch that stands for the content; 0: the content itself
}

const (
	patchFrom   = 1 << 10   // smaller files do not gain by a patch
	patchTo     = 64 << 20  // larger ones have matches beyond the reach of zstd's tables
	windowSize  = 128 << 20 // of a patch: it must reach across the old file
	dictionary  = 1         // the number that patches call the old file by
	longestLine = 64 << 20
)

// Make packs how from became to. The names are their revisions; the one of nothing is empty.
func Make(from, to Set, fromName, toName string) ([]byte, error) {
	change := to.Since(from)
	h := header{From: fromName, To: toName, Removed: change.Removed}
	var bodies [][]byte
	for _, f := range change.Files {
		if !fs.ValidPath(f.Path) || f.Path == "." {
			return nil, fmt.Errorf("%q cannot be sent: it is no path of UTF-8", f.Path)
		}
		e, body := entry{Path: f.Path, Size: int64(len(f.Content)), SHA256: hex.EncodeToString(f.Sum[:])}, f.Content
		patch, err := makePatch(from, f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		if patch != nil {
			e.Patch, body = int64(len(patch)), patch
		}
		h.Files, bodies = append(h.Files, e), append(bodies, body)
	}
	line, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	for _, part := range append([][]byte{line, {'\n'}}, bodies...) {
		if _, err := w.Write(part); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return out.Bytes(), err
}

// makePatch is nil if the content itself is the better choice.
func makePatch(from Set, f File) ([]byte, error) {
	old, ok := from.Find(f.Path)
	if !ok || len(old.Content) < patchFrom || max(len(old.Content), len(f.Content)) > patchTo {
		return nil, nil
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderDictRaw(dictionary, old.Content), zstd.WithWindowSize(windowFor(old, f)),
		zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	patch := w.EncodeAll(f.Content, nil)
	if err := w.Close(); err != nil || len(patch) >= len(f.Content)/2 {
		return nil, err
	}
	return patch, nil
}

// windowFor is the least power of two that reaches across both files.
func windowFor(old, now File) int {
	size := zstd.MinWindowSize
	for size < len(old.Content)+len(now.Content) && size < windowSize {
		size *= 2
	}
	return size
}

// Apply unpacks a delta that is from the files of from, whose revision is fromName. It returns the files it is to, how they
// differ, and what the delta calls their revision, which nobody has checked.
func Apply(from Set, fromName string, packed []byte, limits Limits) (to Set, change Change, toName string, err error) {
	limits = limits.WithDefaults()
	r, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(windowSize))
	if err != nil {
		return to, change, "", err
	}
	defer r.Close()
	in := bufio.NewReader(r)
	h, err := readHeader(in)
	if err != nil {
		return to, change, "", err
	}
	if h.From != fromName {
		return to, change, "", fmt.Errorf("%w: %q, and %q was expected", ErrFrom, h.From, fromName)
	}
	if err := h.fits(from, limits); err != nil {
		return to, change, "", err
	}
	change.Removed = h.Removed
	for _, e := range h.Files {
		f, err := e.read(in, from)
		if err != nil {
			return to, change, "", fmt.Errorf("%s: %w", e.Path, err)
		}
		change.Files = append(change.Files, f)
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return to, change, "", errors.Join(errors.New("there is more than it lists"), err)
	}
	return from.with(change), change, h.To, nil
}

func readHeader(in *bufio.Reader) (h header, err error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return h, json.Unmarshal(line, &h)
		case errors.Is(err, io.EOF):
			return h, io.ErrUnexpectedEOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return h, err
		case len(line) > longestLine:
			return h, fmt.Errorf("its list of files: %w", ErrLimits)
		}
	}
}

// fits refuses a list of files that is too long, too large, or out of order.
func (h header) fits(from Set, limits Limits) error {
	if !slices.IsSorted(h.Removed) {
		return errors.New("its list of removed files is not sorted")
	}
	count, bytes := len(from.files), from.Bytes()
	for _, p := range h.Removed {
		old, ok := from.Find(p)
		if !ok {
			return fmt.Errorf("it removes %s, which is not there", p)
		}
		count--
		bytes -= int64(len(old.Content))
	}
	for i, e := range h.Files {
		if !fs.ValidPath(e.Path) || e.Path == "." {
			return fmt.Errorf("%q is no path within the policy", e.Path)
		}
		if i > 0 && h.Files[i-1].Path >= e.Path {
			return errors.New("its list of files is not sorted")
		}
		if _, removed := slices.BinarySearch(h.Removed, e.Path); removed {
			return fmt.Errorf("it both removes and adds %s", e.Path)
		}
		if e.Size < 0 || e.Size > limits.Bytes || e.Patch < 0 || e.Patch > e.Size {
			return fmt.Errorf("%s has %d bytes: %w", e.Path, e.Size, ErrLimits)
		}
		if old, ok := from.Find(e.Path); ok {
			bytes -= int64(len(old.Content))
		} else {
			count++
		}
		bytes += e.Size
	}
	if bytes > limits.Bytes {
		return fmt.Errorf("%d bytes, and at most %d: %w", bytes, limits.Bytes, ErrLimits)
	}
	if count > limits.Files {
		return fmt.Errorf("%d files, and at most %d: %w", count, limits.Files, ErrLimits)
	}
	return nil
}

// read takes the content of an entry, or makes it of a patch.
func (e entry) read(in io.Reader, from Set) (File, error) {
	size := e.Size
	if e.Patch > 0 {
		size = e.Patch
	}
	// It grows with what is really there: a size is only what the header says.
	var body bytes.Buffer
	n, err := io.CopyN(&body, in, size)
	if err != nil {
		return File{}, fmt.Errorf("%d of %d bytes: %w", n, size, errors.Join(io.ErrUnexpectedEOF, err))
	}
	content := body.Bytes()
	if e.Patch > 0 {
		if content, err = e.patched(content, from); err != nil {
			return File{}, err
		}
	}
	f := File{e.Path, content, sha256.Sum256(content)}
	if got := hex.EncodeToString(f.Sum[:]); got != e.SHA256 {
		return File{}, fmt.Errorf("its hash is %s, and %q was expected", got, e.SHA256)
	}
	return f, nil
}

func (e entry) patched(patch []byte, from Set) ([]byte, error) {
	old, ok := from.Find(e.Path)
	if !ok {
		return nil, errors.New("there is no file to patch")
	}
	r, err := zstd.NewReader(bytes.NewReader(patch), zstd.WithDecoderDictRaw(dictionary, old.Content), zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxWindow(windowSize))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, e.Size+1))
	if err == nil && int64(len(content)) != e.Size {
		err = fmt.Errorf("the patch gives other than %d bytes", e.Size)
	}
	return content, err
}

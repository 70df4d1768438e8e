// Package archive reads gzipped tar archives of regular files from strangers: a few bytes that unpack to any size, names
// that lead out of a directory, and links are refused, and nothing is allocated before its bytes are there.
package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// Limits of one archive.
type Limits struct {
	Bytes int64 // of the whole archive, unpacked
	Files int
}

const (
	maxNameBytes = 4096
	maxNameParts = 256
)

// ErrTooLarge is wrapped by the error of an archive over one of its limits.
var ErrTooLarge = errors.New("larger than it may be")

// Reader reads one archive. Not safe for concurrent use.
type Reader struct {
	ctx    context.Context //nolint:containedctx // the reader lives for one call of its user
	in     *bounded
	tar    *tar.Reader
	limits Limits
	seen   map[string]bool
	buf    []byte
}

// NewReader begins to read. Cancelling ctx ends the reading between two files.
func NewReader(ctx context.Context, in io.Reader, limits Limits) (*Reader, error) {
	gz, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("it is not gzipped: %w", noEOF(err))
	}
	r := &Reader{ctx: ctx, in: &bounded{in: gz, left: limits.Bytes}, limits: limits, seen: map[string]bool{}, buf: make([]byte, 1<<15)}
	r.tar = tar.NewReader(r.in)
	return r, nil
}

// Next reads one more file: its clean slash path, which begins with neither a slash nor a dot and a slash, and its content. Folders
// are skipped. The error is [io.EOF] at the end, when the checksum of the whole has been compared.
func (r *Reader) Next() (name string, content []byte, err error) {
	for {
		if err := r.ctx.Err(); err != nil {
			return "", nil, err
		}
		h, err := r.tar.Next()
		switch {
		case errors.Is(err, io.EOF):
			return "", nil, r.end()
		case err != nil:
			return "", nil, fmt.Errorf("tar: %w", err)
		case h.Typeflag == tar.TypeDir:
			continue
		case h.Typeflag != tar.TypeReg:
			return "", nil, fmt.Errorf("%.100q is not a regular file", h.Name)
		}
		if name, err = r.name(h); err != nil {
			return "", nil, err
		}
		content, err = r.content(h)
		return name, content, err
	}
}

// name cleans the name that tar and OPA write: ./a, /a and a are the same file.
func (r *Reader) name(h *tar.Header) (string, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(h.Name, "."), "/")
	switch {
	case strings.HasPrefix(h.Name, ".") && !strings.HasPrefix(h.Name, "./"):
		name = h.Name
	case name == "":
		name = "."
	}
	switch {
	case !isClean(name):
		return "", fmt.Errorf("%.100q is not a path inside the archive", h.Name)
	case r.seen[name]:
		return "", fmt.Errorf("%.100q is there twice", h.Name)
	case len(r.seen) >= r.limits.Files:
		return "", fmt.Errorf("%w: more than %d files", ErrTooLarge, r.limits.Files)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse") { // a few bytes that unpack to any size
			return "", fmt.Errorf("%.100q is a sparse file", h.Name)
		}
	}
	r.seen[name] = true
	return name, nil
}

// isClean refuses every path that could lead out of a directory, on any system.
func isClean(name string) bool {
	return name != "." && path.Clean(name) == name && !path.IsAbs(name) && name != ".." && !strings.HasPrefix(name, "../") &&
		!strings.ContainsAny(name, "\x00\\") && len(name) <= maxNameBytes && strings.Count(name, "/") < maxNameParts
}

func (r *Reader) content(h *tar.Header) ([]byte, error) {
	if h.Size > r.limits.Bytes {
		return nil, fmt.Errorf("%w: %.100q has %d bytes", ErrTooLarge, h.Name, h.Size)
	}
	var text bytes.Buffer
	text.Grow(int(min(h.Size, 1<<20)))
	if _, err := io.CopyBuffer(&text, r.tar, r.buf); err != nil {
		return nil, fmt.Errorf("%.100q: %w", h.Name, noEOF(err))
	}
	return text.Bytes(), nil
}

// end reads what follows the archive, so that gzip compares its checksum. The error is [io.EOF] if all is well.
func (r *Reader) end() error {
	for {
		n, err := r.in.Read(r.buf)
		switch {
		case len(bytes.Trim(r.buf[:n], "\x00")) > 0:
			return errors.New("more bytes after the end of the tar archive")
		case errors.Is(err, io.EOF):
			return io.EOF
		case err != nil:
			return fmt.Errorf("gzip: %w", err)
		}
	}
}

// bounded fails with [ErrTooLarge] if a stream is longer than it may be.
type bounded struct {
	in   io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	// One byte more than is left distinguishes a stream that is too long from one that just fits.
	n, err := b.in.Read(p[:min(int64(len(p)), b.left+1)])
	b.left -= int64(n)
	if b.left < 0 {
		return n, ErrTooLarge
	}
	return n, err
}

// noEOF turns an end that came too early into an error that does not look like the regular end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

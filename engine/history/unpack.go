package history

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
)

// limits of one entry.
type limits struct {
	bytes int64 // of the whole archive, unpacked
	files int
}

const (
	maxManifestBytes = 1 << 20
	maxNameBytes     = 4096
	maxNameParts     = 256
)

// depth is how much of an entry stays in memory. All of it is read and verified in either case.
type depth int

const (
	withBytes depth = iota
	hashesOnly
)

// errTooLarge is not damage: a store with other limits may read the entry.
var errTooLarge = errors.New("larger than an entry may be")

// unpack reads one entry to its last byte. Its error wraps [ErrDamaged] if what it read is wrong, and
// does not if it could not read, or if the entry is of a later format or too large.
func unpack(ctx context.Context, in io.Reader, limits limits, how depth) (*unpacked, error) {
	r := newReader(ctx, in, limits, how)
	if err := r.all(); err != nil {
		return nil, classify(err)
	}
	return &r.got, nil
}

// peek reads only the manifest.
func peek(in io.Reader, limits limits) (Info, error) {
	r := newReader(context.Background(), in, limits, hashesOnly)
	err := r.start()
	if err == nil {
		err = r.manifest()
	}
	if err != nil {
		return Info{}, classify(err)
	}
	return r.got.info, nil
}

// classify wraps ErrDamaged around an error unless it has another cause.
func classify(err error) error {
	var system *fs.PathError
	var later *laterFormatError
	if errors.As(err, &system) || errors.As(err, &later) || errors.Is(err, errTooLarge) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

type laterFormatError struct{ format int64 }

func (e *laterFormatError) Error() string {
	return fmt.Sprintf("is of format %d; this program reads format %d", e.format, entryFormat)
}

type reader struct {
	ctx    context.Context //nolint:containedctx // the reader lives for one call of unpack
	raw    *bufio.Reader
	gz     *gzip.Reader
	in     *bounded
	tar    *tar.Reader
	limits limits
	how    depth
	seen   map[string]bool
	got    unpacked

	copyBuf []byte
}

func newReader(ctx context.Context, in io.Reader, limits limits, how depth) *reader {
	raw, ok := in.(*bufio.Reader)
	if !ok {
		raw = bufio.NewReaderSize(in, 1<<16)
	}
	return &reader{ctx: ctx, raw: raw, limits: limits, how: how, seen: map[string]bool{}, copyBuf: make([]byte, 1<<15)}
}

func (r *reader) start() (err error) {
	if r.gz, err = gzip.NewReader(r.raw); err != nil {
		return fmt.Errorf("gzip: %w", noEOF(err))
	}
	r.gz.Multistream(false)
	r.in = &bounded{in: r.gz, left: r.limits.bytes}
	r.tar = tar.NewReader(r.in)
	return nil
}

func (r *reader) all() error {
	if err := r.start(); err != nil {
		return err
	}
	if err := r.manifest(); err != nil {
		// One flipped bit can make a later format of this one. The checksum at the end decides.
		if later := new(laterFormatError); errors.As(err, &later) {
			if _, err := io.Copy(io.Discard, r.in); err != nil {
				return fmt.Errorf("gzip: %w", err)
			}
		}
		return err
	}
	for {
		err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := r.end(); err != nil {
		return err
	}
	return r.got.verify()
}

// manifest reads the manifest. It is the first file, so that Info need not read the others.
func (r *reader) manifest() error {
	h, err := r.header()
	if err != nil {
		return noEOF(err)
	}
	if h.Name != manifestName {
		return fmt.Errorf("begins with %q; %s was expected", h.Name, manifestName)
	}
	content, err := r.content(h, maxManifestBytes, withBytes)
	if err != nil {
		return err
	}
	var m bundle.Manifest
	if err := util.UnmarshalJSON(content.bytes, &m); err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	return r.got.describe(&m)
}

// next reads one more file. The error is [io.EOF] at the end.
func (r *reader) next() error {
	h, err := r.header()
	if err != nil {
		return err
	}
	f, err := r.content(h, r.limits.bytes, r.how)
	if err != nil || r.got.merged && h.Name == mergedName {
		return err
	}
	if f.rel, err = r.got.relOf(h.Name); err != nil {
		return err
	}
	r.got.files = append(r.got.files, f)
	return nil
}

func (r *reader) header() (*tar.Header, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	h, err := r.tar.Next()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("tar: %w", err)
	}
	switch {
	case h.Typeflag != tar.TypeReg:
		return nil, fmt.Errorf("%q is not a regular file", h.Name)
	case !isClean(h.Name):
		return nil, fmt.Errorf("%.100q is not a path inside the policy directory", h.Name)
	case r.seen[h.Name]:
		return nil, fmt.Errorf("%q is there twice", h.Name)
	case len(r.seen) > r.limits.files:
		return nil, fmt.Errorf("%w: more than %d files", errTooLarge, r.limits.files)
	}
	for key := range h.PAXRecords {
		if key != "path" { // such as those of a sparse file: a few bytes that unpack to any size
			return nil, fmt.Errorf("%q has a tar record %q that no entry has", h.Name, key)
		}
	}
	r.seen[h.Name] = true
	return h, nil
}

// content reads one file. It does not allocate what the header claims before the bytes are there.
func (r *reader) content(h *tar.Header, maxBytes int64, how depth) (sourceFile, error) {
	if h.Size > maxBytes {
		return sourceFile{}, fmt.Errorf("%w: %q has %d bytes", errTooLarge, h.Name, h.Size)
	}
	sum := sha256.New()
	var text bytes.Buffer
	var to io.Writer = sum
	if how == withBytes {
		text.Grow(int(min(h.Size, 1<<20)))
		to = io.MultiWriter(sum, &text)
	}
	if _, err := io.CopyBuffer(to, r.tar, r.copyBuf); err != nil {
		return sourceFile{}, fmt.Errorf("%q: %w", h.Name, err)
	}
	return sourceFile{bytes: text.Bytes(), sum: [sha256.Size]byte(sum.Sum(nil))}, nil
}

// end checks that nothing follows the archive. Reading to the end also makes gzip compare its checksum.
func (r *reader) end() error {
	buf := make([]byte, 4096)
	for {
		n, err := r.in.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return errors.New("more bytes after the end of the tar archive")
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("gzip: %w", err)
		}
	}
	switch _, err := r.raw.ReadByte(); {
	case err == nil:
		return errors.New("more bytes after the end of the gzip stream")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// bounded fails with errTooLarge if a stream is longer than it may be.
type bounded struct {
	in   io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	// One byte more than is left distinguishes a stream that is too long from one that just fits.
	n, err := b.in.Read(p[:min(int64(len(p)), b.left+1)])
	b.left -= int64(n)
	if b.left < 0 {
		return n, errTooLarge
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

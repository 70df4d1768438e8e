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

// bounds hold for one entry.
type bounds struct {
	bytes int64 // of the whole archive, unpacked
	files int
}

const (
	mostManifestBytes = 1 << 20
	mostNameBytes     = 4096
	mostNameParts     = 256
)

// depth is how much of an entry is kept after it was read; all of it is read and verified always.
type depth int

const (
	withBytes depth = iota
	hashesOnly
)

// errTooLarge is not damage: other bounds may take the entry.
var errTooLarge = errors.New("larger than an entry may be")

// unpack reads one entry to its last byte. Its error wraps [ErrDamaged] when what it read is wrong,
// and does not when it could not read, when the entry is of a later format, or too large.
func unpack(ctx context.Context, in io.Reader, most bounds, how depth) (*unpacked, error) {
	r := newReader(ctx, in, most, how)
	if err := r.all(); err != nil {
		return nil, classify(err)
	}
	return &r.got, nil
}

// peek reads the manifest alone.
func peek(in io.Reader, most bounds) (Info, error) {
	r := newReader(context.Background(), in, most, hashesOnly)
	err := r.start()
	if err == nil {
		err = r.manifest()
	}
	if err != nil {
		return Info{}, classify(err)
	}
	return r.got.info, nil
}

// classify calls an error damage unless it tells of something else.
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
	ctx  context.Context //nolint:containedctx // the reader lives for one call of unpack
	raw  *bufio.Reader
	gz   *gzip.Reader
	in   *bounded
	tar  *tar.Reader
	most bounds
	how  depth
	seen map[string]bool
	got  unpacked

	copyBuf []byte
}

func newReader(ctx context.Context, in io.Reader, most bounds, how depth) *reader {
	raw, ok := in.(*bufio.Reader)
	if !ok {
		raw = bufio.NewReaderSize(in, 1<<16)
	}
	return &reader{ctx: ctx, raw: raw, most: most, how: how, seen: map[string]bool{}, copyBuf: make([]byte, 1<<15)}
}

func (r *reader) start() (err error) {
	if r.gz, err = gzip.NewReader(r.raw); err != nil {
		return fmt.Errorf("gzip: %w", noEOF(err))
	}
	r.gz.Multistream(false)
	r.in = &bounded{in: r.gz, left: r.most.bytes}
	r.tar = tar.NewReader(r.in)
	return nil
}

func (r *reader) all() error {
	if err := r.start(); err != nil {
		return err
	}
	if err := r.manifest(); err != nil {
		// One flipped bit makes another format of ours. The checksum stands at the end.
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

// manifest is the first file, so that a look at it costs little.
func (r *reader) manifest() error {
	h, err := r.header()
	if err != nil {
		return noEOF(err)
	}
	if h.Name != manifestName {
		return fmt.Errorf("begins with %q; %s was expected", h.Name, manifestName)
	}
	content, err := r.content(h, mostManifestBytes, withBytes)
	if err != nil {
		return err
	}
	var m bundle.Manifest
	if err := util.UnmarshalJSON(content.bytes, &m); err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	return r.got.describe(&m)
}

// next takes one more file; [io.EOF] tells the end.
func (r *reader) next() error {
	h, err := r.header()
	if err != nil {
		return err
	}
	f, err := r.content(h, r.most.bytes, r.how)
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
	case len(r.seen) > r.most.files:
		return nil, fmt.Errorf("%w: more than %d files", errTooLarge, r.most.files)
	}
	for key := range h.PAXRecords {
		if key != "path" { // a sparse file of a few bytes can unpack to any size
			return nil, fmt.Errorf("%q has a tar record %q that no entry has", h.Name, key)
		}
	}
	r.seen[h.Name] = true
	return h, nil
}

// content reads one file. Nothing is allocated on the header's word alone.
func (r *reader) content(h *tar.Header, most int64, how depth) (sourceFile, error) {
	if h.Size > most {
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

// end sees to it that the archive ends where its bytes end, which is also what makes gzip compare
// its checksum.
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

// bounded ends a stream that goes on for too long.
type bounded struct {
	in   io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	// One more than is left tells a stream that is too long from one that just fits.
	n, err := b.in.Read(p[:min(int64(len(p)), b.left+1)])
	b.left -= int64(n)
	if b.left < 0 {
		return n, errTooLarge
	}
	return n, err
}

// noEOF makes an end that came too early an error like any other.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

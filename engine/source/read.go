package source

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"syscall"
	"time"

	"defenseclaw/engine/diagnostic"
)

// ErrUnsettled is wrapped when the source kept changing while it was read.
var ErrUnsettled = errors.New("the directory kept changing while it was read")

// Options say how to read. The zero value reads every module and data file.
type Options struct {
	Limits  Limits
	Tests   bool    // also *_test.rego
	Earlier Earlier // what need not be read again

	// TestsAside reads *_test.rego too, into [Reading.Tests]: they are no part of the policy, and a signature covers them.
	TestsAside bool

	note bool   // also what is ignored; the second look needs no such list
	only []Kind // instead of all kinds; nil: all

	// Between is called between two directories and between two files; its error ends the reading.
	// nil: only ctx ends it.
	Between func(context.Context) error
}

// kinds is what a reading takes in; see [Relevant] and [RelevantToTests].
func (o Options) kinds() []Kind {
	if o.only != nil {
		return o.only
	}
	kinds := []Kind{KindModule, KindData, KindOverlay}
	if o.Tests || o.TestsAside {
		kinds = append(kinds, KindTest)
	}
	return kinds
}

// between is called between two files, where a decision may want the processor.
func (o Options) between(ctx context.Context) error {
	if o.Between != nil {
		return o.Between(ctx)
	}
	return ctx.Err()
}

// Read reads every relevant file of src, and starts again when something moved meanwhile, so that the
// result is what the directory held at one moment. The error is a [diagnostic.List] of every file that
// could not be read, ctx's when it ended, or says what is wrong with the directory; it wraps
// [ErrUnsettled] when files kept changing. Where descriptors ran out, which says nothing about the
// directory, [OutOfDescriptors] reports that of the error.
func Read(ctx context.Context, src fs.FS, o Options) (*Reading, error) {
	// A directory that is written without end has to be an error at some time. The caller decides when to ask
	// again.
	const maxTries = 5
	var last error
	for try := range maxTries {
		first := o
		// Later tries skip nothing: the directory is changing, so the events may lag behind it.
		first.Earlier.skipUnnamed = try == 0 && len(o.Earlier.ChangedDirs) > 0
		r, err := readOnce(ctx, src, first)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			again, err := look(ctx, src, o, o.kinds()) // with o's Earlier, which skips no stat (invariant 4)
			switch {
			case OutOfDescriptors(err):
				return nil, err
			case err == nil && again.sameLook(r):
				return r, nil
			}
			// Files of this try need not be read again, so each try gets shorter.
			o.Earlier = o.Earlier.after(r)
		} else if OutOfDescriptors(err) || last != nil && last.Error() == err.Error() {
			return nil, err // twice the same: not a file caught between two states
		}
		// One error is not enough to give up: a file that is being replaced is gone between the look and the open.
		last = err
	}
	return nil, ErrUnsettled
}

// readOnce looks once and reads what the look did not take over. All unreadable files are reported at once: an
// operator who mends them one by one would wait for a reload each time.
func readOnce(ctx context.Context, src fs.FS, o Options) (*Reading, error) {
	begun := time.Now() // before the first stat: invariant 2 compares with it
	o.note = true       // here and not in the caller: a later try lists afresh what moved meanwhile
	r, err := look(ctx, src, o, o.kinds())
	if err != nil {
		return nil, err
	}
	r.begun, r.fine = begun, fineDevice(src)
	if r.root == nestedRoot { // else all of the directory was walked
		r.beside = beside(ctx, src, o)
	}
	limits := o.Limits.withDefaults()
	room := limits.Memory
	var wrong diagnostic.List
	for _, file := range slices.Concat(r.files, r.tests) {
		if file.Bytes != nil {
			room -= file.cost
			continue // taken from the earlier reading
		}
		if err := o.between(ctx); err != nil {
			return nil, err
		}
		// The look has weighed the files, but they may have grown since.
		// So a file is read only as far as it may be loaded: one that grows without end takes no memory without end.
		left := max(room, 0) / leastCost(file.kind, 1)
		if err := file.read(src, min(limits.FileBytes, left)); err != nil {
			if OutOfDescriptors(err) {
				return nil, noDescriptor(file.Path, err)
			}
			if large := new(tooLargeError); errors.As(err, &large) && large.size <= limits.FileBytes {
				return nil, diagnostic.List{tooLargeTogether(file.Path, limits.Memory)}
			}
			wrong = append(wrong, unreadable(file.Path, err))
			continue
		}
		if file.cost = contentCost(file); file.cost > room {
			return nil, diagnostic.List{tooLargeTogether(file.Path, limits.Memory)}
		}
		room -= file.cost
		if !o.Earlier.reuseBytes(file) {
			file.hash = sha256.Sum256(file.Bytes)
		}
	}
	if len(wrong) > 0 {
		return nil, wrong.Sorted()
	}
	for _, l := range r.dirs {
		l.setProven(r.fine)
		l.setCost()
	}
	// Not computed here: a reading whose content turns out to be the previous one's never needs it.
	r.revision = sync.OnceValue(r.hashAll)
	return r, nil
}

// read checks the stat of the open file, not of its name: the name may mean another file by now.
func (f *File) read(src fs.FS, maxBytes int64) error {
	in, err := src.Open(f.Path)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // nothing was written
	before, err := in.Stat()
	if err != nil {
		return err
	}
	if !before.Mode().IsRegular() {
		return errNotRegular
	}
	if before.Size() > maxBytes {
		return &tooLargeError{size: before.Size(), limit: maxBytes}
	}
	if lasting, ok := before.(Lasting); ok {
		if f.Bytes, f.info = lasting.Content(), before; f.Bytes == nil {
			f.Bytes = []byte{} // nil is a file that was not read
		}
		return nil
	}
	buf := make([]byte, 0, before.Size()+1) // one byte more than the file, so that its end is seen without growing
	f.Bytes, err = readAll(in, buf, maxBytes)
	if err != nil {
		return err
	}
	f.info = before // not the stat after: a write during the reading must show as a difference
	return nil
}

// readAll is [io.ReadAll] with a bound, since a file may grow while it is read.
func readAll(in io.Reader, buf []byte, maxBytes int64) ([]byte, error) {
	for {
		n, err := in.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > maxBytes { // it grew since its stat
			return nil, &tooLargeError{size: int64(len(buf)), limit: maxBytes}
		}
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, len(buf))
		}
	}
}

// HasPolicy reports whether src holds any .rego file that [Read] would read, broken ones included, or
// something that cannot be listed and so may hold one.
func HasPolicy(ctx context.Context, src fs.FS) bool {
	r, err := look(ctx, src, Options{}, []Kind{KindModule})
	return err != nil || len(r.files) > 0
}

// OutOfDescriptors reports whether err is that this process, or the system, has no descriptor left: the same
// file can be read once others are closed.
func OutOfDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// noDescriptor is the error of a reading that ends at p because descriptors ran out. Unlike a diagnostic it does
// not say that the file is at fault.
func noDescriptor(p string, err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Errorf("no file descriptor is left to read %s: %w", p, err)
}

var errNotRegular = errors.New("is not a regular file")

// tooLargeError is a type of its own so that the code of its diagnostic does not hang on the text.
type tooLargeError struct{ size, limit int64 }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("is %d bytes; the limit is %d", e.size, e.limit)
}

// unreadable is the diagnostic of a file that could not be read. It leaves out the absolute path that
// errors of package os carry: diagnostics name files relative to the policy directory.
func unreadable(p string, err error) diagnostic.Diagnostic {
	d := diagnostic.Diagnostic{File: p, Code: diagnostic.CodeFileUnreadable}
	cause := err
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		cause = pathErr.Err
	}
	d.Message = "cannot be read: " + cause.Error()
	var large *tooLargeError
	switch {
	case errors.Is(err, errNotRegular):
		d.Code, d.Message = diagnostic.CodeFileNotRegular, cause.Error()
	case errors.As(err, &large):
		d.Code, d.Message = diagnostic.CodeFileTooLarge, cause.Error()
	case errors.Is(err, errLink):
		d.Code, d.Message = diagnostic.CodeLinkRefused, cause.Error()
	}
	return d
}

package engine

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/source"
)

// Verified says by whom the files of a generation were signed. The zero value means that nobody asked.
type Verified struct {
	By          string    // names of the keys, for people: release, or ann@example.org
	Fingerprint string    // of them, by which a key is known again whatever its name is
	Commit      string    // of git, whose files they are; empty without one
	CommitTime  time.Time // when it was made, as it says
}

// A Verify says who signed the files of a source. reading holds the bytes that were read, with its tests; nothing else of
// the source may be trusted. Its error is a [diagnostic.List] where files are to blame. It is called for every source
// that may come to serve, also for a kept one that is restored: see [VerifiedSource].
type Verify func(ctx context.Context, src fs.FS, reading *source.Reading) (Verified, error)

// A VerifiedSource is a source that served before, with what was known then about who signed it.
type VerifiedSource interface {
	fs.FS
	Verified() Verified
}

// verify refuses files that are not signed as they have to be. l.verified is who signed them.
func (l *loader) verify(ctx context.Context, src fs.FS, reading *source.Reading) error {
	if l.check == nil {
		return nil
	}
	verified, err := l.check(ctx, src, reading)
	switch wrong := (diagnostic.List)(nil); {
	case err == nil:
		l.verified = verified
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &wrong):
		return &Refused{Stage: StageSignature, Diagnostics: wrong.Sorted()}
	default:
		return &Refused{Stage: StageSignature, Err: err}
	}
}

// unsigned reports whether the files were refused for their signature. A release is written file by file, and signed last,
// so it may fit in a moment. r may be nil.
func (r *Refused) unsigned() bool { return r != nil && r.Stage == StageSignature }

// Verified says who signed the files; zero where no signature is asked for.
func (g *Generation) Verified() Verified { return g.verified }

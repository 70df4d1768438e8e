package fleet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"

	"defenseclaw/engine"
	"defenseclaw/engine/source"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// Files are the files of a release: those that an engine serves, by their paths relative to the root of the policy.
type Files struct {
	Set      delta.Set
	Revision string // as the engine computes it; empty: there are no files
}

// FilesOf are the files of a generation.
func FilesOf(g *engine.Generation) Files {
	set := delta.NewSet(func(yield func(string, []byte) bool) {
		for _, file := range g.Files() {
			if !yield(file.Rel(), file.Bytes) {
				return
			}
		}
	})
	return Files{set, g.Revision()}
}

// revision is that of a set of files.
func revision(set delta.Set) string {
	return source.RevisionOf(func(yield func(string, [sha256.Size]byte) bool) {
		for _, file := range set.Files() {
			if !yield(file.Path, file.Sum) {
				return
			}
		}
	})
}

// All are the files by path.
func (f Files) All() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, file := range f.Set.Files() {
			if !yield(file.Path, file.Content) {
				return
			}
		}
	}
}

// Fetch returns the files of a release from its snapshot, and checks that they are.
func (l *Link) Fetch(ctx context.Context, of record.Release) (Files, error) {
	var packed []byte
	for chunk := range of.Chunks {
		m, err := l.last(ctx, record.Objects, record.SnapshotSubject(of.Revision, chunk))
		if err == nil && m == nil {
			err = errors.New("it is not there any more")
		}
		if err != nil {
			return Files{}, fmt.Errorf("snapshot of %s, part %d of %d: %w", of.Revision, chunk+1, of.Chunks, err)
		}
		packed = append(packed, m.Data...)
	}
	set, _, _, err := delta.Apply(delta.Set{}, "", packed, delta.Limits{Files: of.Files, Bytes: of.Bytes})
	if err != nil {
		return Files{}, fmt.Errorf("snapshot of %s: %w", of.Revision, err)
	}
	if got := revision(set); got != of.Revision {
		return Files{}, fmt.Errorf("the snapshot of %s holds %s", of.Revision, got)
	}
	return Files{set, of.Revision}, nil
}

// parallel is how many objects are sent at once.
const parallel = 8

// upload puts the snapshot of files there, also if it is already: what is new is not purged.
func (l *Link) upload(ctx context.Context, files Files, dry bool) (record.Release, error) {
	r := record.Release{Revision: files.Revision, Files: len(files.Set.Files()), Bytes: files.Set.Bytes()}
	packed, err := delta.Make(delta.Set{}, files.Set, "", files.Revision)
	if err != nil {
		return r, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for ; len(packed) > 0; r.Chunks++ {
		n := min(len(packed), record.ChunkSize)
		subject, part := record.SnapshotSubject(files.Revision, r.Chunks), packed[:n]
		if !dry {
			group.Go(func() error { return l.put(ctx, subject, part) })
		}
		packed = packed[n:]
	}
	return r, group.Wait()
}

// change makes the delta between two releases, and stores it for agents that miss the record. inline is nil if it is too long for
// the record's message. One that no message can hold is not stored: agents fetch the snapshot.
func (l *Link) change(ctx context.Context, from, to Files, dry bool) (inline []byte, size int, err error) {
	packed, err := delta.Make(from.Set, to.Set, from.Revision, to.Revision)
	if err != nil {
		return nil, 0, err
	}
	if !dry && int64(len(packed)) <= l.nc.MaxPayload()-headroom {
		if err := l.put(ctx, record.DeltaSubject(to.Revision, from.Revision), packed); err != nil {
			return nil, 0, err
		}
	}
	if len(packed) > record.MaxInline {
		return nil, len(packed), nil
	}
	return packed, len(packed), nil
}

// headroom is what a message has besides its content.
const headroom = 1 << 10

// put stores an object.
func (l *Link) put(ctx context.Context, subject string, content []byte) error {
	err := l.again(ctx, "the broker does not take "+subject, func(ctx context.Context) (bool, error) {
		_, err := l.js.Publish(ctx, subject, content, jetstream.WithRetryAttempts(0))
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			if _, missing := l.lastOnce(ctx, record.Objects, subject); errors.Is(missing, errNoStream) {
				return true, missing
			}
		}
		return err == nil || final(err), err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	return nil
}

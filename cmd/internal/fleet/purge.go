package fleet

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"time"

	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go/jetstream"
)

// orphanAge is how old objects are that belong to no record when they are removed: those of somebody who is about to move a channel to them
// are younger.
const orphanAge = time.Hour

// Purge removes the objects of revisions that left the history of every channel, and those whose record was never written.
// Whose records these are does not matter here: a record that nobody trusts keeps what it names.
func (l *Link) Purge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	return l.again(ctx, "remove old releases", func(ctx context.Context) (bool, error) {
		err := l.purge(ctx, orphanAge)
		return err == nil, err
	})
}

// purgeTimeout is short, since the next publish removes what this one does not. A leader that dies meanwhile never answers.
const purgeTimeout = 10 * time.Second

func (l *Link) purge(ctx context.Context, age time.Duration) error {
	stream, err := l.js.Stream(ctx, record.Objects)
	if err != nil {
		return err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(record.ObjectSubjects))
	if err != nil {
		return err
	}
	before := info.TimeStamp.Add(-age)
	if info.State.FirstTime.After(before) {
		return nil // none is old enough
	}
	live, err := l.live(ctx)
	if err != nil {
		return err
	}
	for prefix := range dead(maps.Keys(info.State.Subjects), live) {
		m, err := l.last(ctx, record.Objects, prefix.example)
		if err != nil {
			return err
		}
		if m == nil || m.Time.After(before) {
			continue
		}
		// What somebody stores again meanwhile comes after the last message, and stays.
		if err := stream.Purge(ctx, jetstream.WithPurgeSubject(prefix.subjects), jetstream.WithPurgeSequence(info.State.LastSeq+1)); err != nil {
			return fmt.Errorf("%s: %w", prefix.subjects, err)
		}
	}
	return nil
}

// objects are those of one revision, and one of their subjects.
type objects struct{ subjects, example string }

// dead lists the objects of revisions that are not live: fleet.v1.obj.KIND.REVISION.….
func dead(subjects iter.Seq[string], live map[string]bool) map[objects]bool {
	const revision = 4
	examples := map[string]string{}
	for s := range subjects {
		words := strings.Split(s, ".")
		if len(words) > revision+1 && !live[words[revision]] {
			examples[strings.Join(words[:revision+1], ".")+".>"] = s
		}
	}
	found := map[objects]bool{}
	for all, example := range examples {
		found[objects{all, example}] = true
	}
	return found
}

// live are the revisions that records in the history of a channel name, without sha256:.
func (l *Link) live(ctx context.Context) (map[string]bool, error) {
	kv, err := l.js.KeyValue(ctx, record.Bucket)
	if err != nil {
		return nil, err
	}
	all, err := kv.WatchAll(ctx, jetstream.IncludeHistory())
	if err != nil {
		return nil, err
	}
	defer all.Stop() //nolint:errcheck // it ends with ctx as well
	live := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case entry, ok := <-all.Updates():
			switch {
			case !ok:
				return nil, errors.New("the history of the channels ended early")
			case entry == nil: // that was the last
				return live, nil
			}
			for _, revision := range record.Revisions(entry.Value()) {
				live[strings.TrimPrefix(revision, "sha256:")] = true
			}
		}
	}
}

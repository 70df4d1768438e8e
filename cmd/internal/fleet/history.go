package fleet

import (
	"context"
	"errors"
	"fmt"

	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go/jetstream"
)

// History returns what a channel said, the newest first, as far back as the broker keeps it. Each has its signatures checked:
// see [Now.Err].
func (l *Link) History(ctx context.Context, channel string, keys *record.Keys) ([]Now, error) {
	if err := record.CheckName("the channel", channel); err != nil {
		return nil, err
	}
	var all []Now
	err := l.again(ctx, "the history of channel "+channel+" cannot be read", func(ctx context.Context) (bool, error) {
		kv, err := l.js.KeyValue(ctx, record.Bucket)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			return true, fmt.Errorf("bucket %s: %w", record.Bucket, errNoStream)
		}
		var entries []jetstream.KeyValueEntry
		if err == nil {
			entries, err = kv.History(ctx, channel)
		}
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return true, nil
		}
		if err != nil {
			return final(err), err
		}
		all = nil
		for _, e := range entries {
			n := Now{Channel: channel, Sequence: e.Revision(), Time: e.Created(), keys: keys}
			if e.Operation() == jetstream.KeyValuePut {
				n.Message = e.Value()
				n.Opened, n.Err = record.Open(n.Message, channel, keys, e.Created()) // it may have expired since
			}
			all = append([]Now{n}, all...)
		}
		return true, nil
	})
	return all, err
}

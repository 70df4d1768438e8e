package fleet

import (
	"maps"
	"slices"
	"strings"

	"defenseclaw/watcher/fleet/record"
)

// maxShared bounds the texts of each kind.
const maxShared = 4096

// shared has one of each text, list and map that many agents say, so that ten thousand of them need little memory. What it gives out is not to be
// changed.
type shared struct {
	texts  map[string]string
	lists  map[string][]string
	labels map[string]map[string]string
}

// of replaces what an acknowledgement has by what others had before.
func (s *shared) of(ack *record.Ack) {
	for _, text := range []*string{&ack.Channel, &ack.Serves, &ack.Wanted, &ack.Error, &ack.Version, &ack.Stale.Action, (*string)(&ack.State), (*string)(&ack.Code)} {
		*text = keep(&s.texts, *text, *text)
	}
	const between = "\x00"
	if len(ack.Keys) > 0 {
		ack.Keys = keep(&s.lists, strings.Join(ack.Keys, between), ack.Keys)
	}
	if len(ack.Labels) > 0 {
		var b strings.Builder
		for _, name := range slices.Sorted(maps.Keys(ack.Labels)) {
			b.WriteString(name + between + ack.Labels[name] + between)
		}
		ack.Labels = keep(&s.labels, b.String(), ack.Labels)
	}
}

// keep is what was kept first under a key.
func keep[T any](all *map[string]T, key string, value T) T {
	if had, ok := (*all)[key]; ok {
		return had
	}
	if *all == nil || len(*all) >= maxShared {
		*all = map[string]T{}
	}
	(*all)[key] = value
	return value
}

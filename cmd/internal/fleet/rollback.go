package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"defenseclaw/watcher/fleet/record"
)

// Earlier finds the release of a channel's history whose revision begins with a text; without one, the release that served
// before the one that the channel asks for now. Only records that are trusted count.
func Earlier(history []Now, revision string) (record.Release, error) {
	var now record.Release
	for i, one := range history {
		r := one.Record()
		if r == nil {
			continue
		}
		if i == 0 {
			now = r.Target
		}
		for _, release := range []record.Release{r.Target, r.Base} {
			switch {
			case release.Revision == "":
			case revision == "" && release.Revision != now.Revision:
				return release, nil
			case revision != "" && strings.HasPrefix(strings.TrimPrefix(release.Revision, "sha256:"), strings.TrimPrefix(revision, "sha256:")):
				return release, nil
			}
		}
	}
	if revision != "" {
		return record.Release{}, fmt.Errorf("the history has no release %s that a trusted key signed", revision)
	}
	return record.Release{}, errors.New("the history has no other release that a trusted key signed")
}

// Rollback moves a channel to an earlier release, forward: the record is a new one with a higher epoch. Its files are fetched and checked first.
func (l *Link) Rollback(ctx context.Context, d Draft, to record.Release, by *Signers) (Published, error) {
	files, err := l.Fetch(ctx, to)
	if err != nil {
		return Published{}, err
	}
	d.Files = files
	return l.Publish(ctx, d, by)
}

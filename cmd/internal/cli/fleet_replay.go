package cli

import (
	"context"
	"fmt"

	"defenseclaw/engine"
	"defenseclaw/engine/review/replay"

	"github.com/urfave/cli/v2"
)

// flipsOf replays the log of --from on what the channel serves and on what is to be published, and says in a sentence what flips; empty if
// no log is given. Without a release to compare with, the recorded answers are it.
func flipsOf(ctx context.Context, c *cli.Context, base, candidate *engine.Generation) (string, error) {
	if c.String("from") == "" {
		return "", nil
	}
	recorded, err := logOf(c)
	if err != nil {
		return "", err
	}
	found, err := replay.Run(ctx, base, candidate, recorded, replay.Options{})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d of %d replayed decisions flip", found.Total(), found.Replayed), nil
}

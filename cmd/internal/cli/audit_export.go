package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"defenseclaw/api/audit"

	"github.com/urfave/cli/v2"
)

// exportFlags are the filters but --limit: an export has all that match.
func exportFlags() []cli.Flag {
	flags := slices.DeleteFunc(filterFlags(), func(f cli.Flag) bool { return f.Names()[0] == "limit" })
	return append(flags, &cli.StringFlag{
		Name: "output", Aliases: []string{"o"}, Value: "-", Usage: "write to `FILE`, which must not exist; -: to standard output",
	})
}

// exported is a line: a record, with its time under the name that the original gateway's export has, too.
type exported struct {
	Timestamp time.Time `json:"timestamp"`
	audit.Record
}

func exportRecords(c *cli.Context) (err error) {
	filter, err := filterOf(c)
	if err != nil {
		return err
	}
	from, err := openRecords(c)
	if err != nil {
		return err
	}
	defer from.done() //nolint:errcheck // it was opened for reading
	out := c.App.Writer
	if name := c.String("output"); name != "-" {
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names it
		if err != nil {
			return fmt.Errorf("audit export: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = file
	}
	return export(out, from, filter)
}

// export writes the oldest record first, and holds one page at a time: it first goes back through the pages to find where
// each begins.
func export(out io.Writer, from recordSource, filter audit.Filter) error {
	filter.Limit = 1000
	starts := []int64{filter.Before}
	for {
		filter.Before = starts[len(starts)-1]
		answer, err := from.records(filter)
		if err != nil {
			return err
		}
		if len(starts) == 1 && len(answer.Records) > 0 {
			starts[0] = answer.Records[0].Seq + 1 // records that are added meanwhile are in no page
		}
		if answer.Next == 0 {
			break
		}
		starts = append(starts, answer.Next)
	}
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, before := range slices.Backward(starts) {
		filter.Before = before
		answer, err := from.records(filter)
		if err != nil {
			return err
		}
		for _, r := range slices.Backward(answer.Records) {
			if err := lines.Encode(exported{r.Time, r}); err != nil {
				return err
			}
		}
	}
	return nil
}

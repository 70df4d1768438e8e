package cli

import (
	"fmt"
	"path/filepath"

	"defenseclaw/api"
	"defenseclaw/api/audit"

	"github.com/urfave/cli/v2"
)

func auditCommand() *cli.Command {
	file := &cli.StringFlag{Name: "file", Usage: "read the audit database `FILE`, a copy or that of a stopped sidecar, not the running sidecar's"}
	original := &cli.BoolFlag{Name: "original", Usage: "read the records of the original gateway, from audit.db of the data directory or from --file"}
	flags := append(clientFlags(), file, &cli.BoolFlag{Name: "json", Usage: "print JSON"})
	return &cli.Command{
		Name:            "audit",
		Usage:           "read and verify the audit log of the sidecar",
		HideHelpCommand: true,
		OnUsageError:    usageError,
		Action:          needsCommand,
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list records, newest first", OnUsageError: usageError, Action: listRecords,
				Flags: append(append(filterFlags(), flags...), original),
			},
			{
				Name: "follow", Usage: "print records as they are written, the newest ten first, until it is interrupted", OnUsageError: usageError,
				Action: followRecords, Flags: append(followFlags(), append(clientFlags(), &cli.BoolFlag{Name: "json", Usage: "print lines of JSON"})...),
			},
			{
				Name: "export", Usage: "write records as lines of JSON, oldest first", OnUsageError: usageError, Action: exportRecords,
				Flags: append(append(exportFlags(), clientFlags()...), file, original),
			},
			{
				Name: "verify", Usage: "find records that were altered, removed or inserted; exits with 1 if there are any",
				OnUsageError: usageError, Action: verifyRecords,
				Flags: append([]cli.Flag{&cli.StringSliceFlag{
					Name: "head", Usage: "check that the log has the record `SEQ:HASH`, which an earlier verify printed",
				}}, flags...),
			},
		},
	}
}

// recordSource reads records from the running sidecar or from a file.
type recordSource struct {
	records func(audit.Filter) (api.RecordsAnswer, error)
	verify  func(...audit.Head) (audit.VerifyReport, error)
	done    func() error
}

func openRecords(c *cli.Context) (recordSource, error) {
	if err := noArguments(c); err != nil {
		return recordSource{}, err
	}
	if c.Bool("original") {
		return openOriginal(c)
	}
	if c.String("file") == "" {
		running, err := client(c)
		if err != nil {
			return recordSource{}, err
		}
		return recordSource{
			func(f audit.Filter) (api.RecordsAnswer, error) { return running.Records(c.Context, f) }, // which knows the values, too
			func(noted ...audit.Head) (audit.VerifyReport, error) { return running.Verify(c.Context, noted...) },
			func() error { return nil },
		}, nil
	}
	reader, err := audit.OpenReadOnly(c.Context, c.String("file"))
	if err != nil {
		return recordSource{}, err
	}
	return recordSource{
		func(f audit.Filter) (api.RecordsAnswer, error) {
			if err := f.Known(); err != nil {
				return api.RecordsAnswer{}, fmt.Errorf("--%w", err)
			}
			found, err := reader.Query(c.Context, f)
			return api.NewRecordsAnswer(found, f), err
		},
		func(noted ...audit.Head) (audit.VerifyReport, error) { return reader.Verify(c.Context, noted...) },
		reader.Close,
	}, nil
}

// openOriginal reads the original gateway's database, which no sidecar of ours writes.
func openOriginal(c *cli.Context) (recordSource, error) {
	original, err := originalOf(c, "file")
	if err != nil {
		return recordSource{}, err
	}
	return recordSource{
		records: func(f audit.Filter) (api.RecordsAnswer, error) {
			found, err := original.Query(c.Context, f)
			return api.NewRecordsAnswer(found, f), err
		},
		done: original.Close,
	}, nil
}

// originalOf opens the database that a flag names, or else the one of the data directory.
func originalOf(c *cli.Context, flag string) (*audit.Original, error) {
	path := c.String(flag)
	if path == "" {
		s, err := resolve(c)
		if err != nil {
			return nil, err
		}
		path = filepath.Join(s.DataDir, "audit.db")
	}
	return audit.OpenOriginal(c.Context, path)
}

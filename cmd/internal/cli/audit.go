package cli

import (
	"defenseclaw/api"
	"defenseclaw/api/audit"

	"github.com/urfave/cli/v2"
)

func auditCommand() *cli.Command {
	flags := append(clientFlags(),
		&cli.StringFlag{Name: "file", Usage: "read the audit database `FILE`, a copy or that of a stopped sidecar, not the running sidecar's"},
		&cli.BoolFlag{Name: "json", Usage: "print JSON"})
	return &cli.Command{
		Name:            "audit",
		Usage:           "read and verify the audit log of the sidecar",
		HideHelpCommand: true,
		OnUsageError:    usageError,
		Action:          needsCommand,
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list records, newest first", OnUsageError: usageError, Action: listRecords,
				Flags: append(filterFlags(), flags...),
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
	if c.String("file") == "" {
		running, err := client(c)
		if err != nil {
			return recordSource{}, err
		}
		return recordSource{
			func(f audit.Filter) (api.RecordsAnswer, error) { return running.Records(c.Context, f) },
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
			found, err := reader.Query(c.Context, f)
			return api.NewRecordsAnswer(found, f), err
		},
		func(noted ...audit.Head) (audit.VerifyReport, error) { return reader.Verify(c.Context, noted...) },
		reader.Close,
	}, nil
}

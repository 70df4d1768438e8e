package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/bundled"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/signed"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/bundle"
	followed "defenseclaw/watcher/bundle"

	"github.com/urfave/cli/v2"
)

// openBundle reads the file that the command names.
func openBundle(c *cli.Context) (file string, archive []byte, set settings.Settings, err error) {
	args := c.Args().Slice()
	if len(args) != 1 {
		return "", nil, set, &exitError{exitUsage, errors.New("expected one file: a bundle, such as bundle.tar.gz")}
	}
	if set, err = resolve(c); err != nil {
		return "", nil, set, err
	}
	in, err := os.Open(args[0])
	if err != nil {
		return "", nil, set, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	archive, err = io.ReadAll(io.LimitReader(in, followed.DefaultMaxBytes+1))
	if err == nil && len(archive) > followed.DefaultMaxBytes {
		err = fmt.Errorf("%s has more than %d bytes", args[0], followed.DefaultMaxBytes)
	}
	return args[0], archive, set, err
}

func signBundle(c *cli.Context) error {
	file, archive, set, err := openBundle(c)
	if err != nil {
		return err
	}
	sign, err := bundleSigner(c, set.Signature.Scope)
	if err != nil {
		return err
	}
	if sign == nil {
		return &exitError{exitUsage, errors.New("--signing-key is missing: policy bundle sign --signing-key FILE --scope SCOPE FILE")}
	}
	found := inspected(c.Context, file, archive, set, nil)
	if found.Bundle == nil {
		return fmt.Errorf("%s: %w", file, found.Refused)
	}
	if c.String("output") == "" {
		if err := c.Set("output", file); err != nil {
			return err
		}
	}
	return writeBundle(c, found.All, sign)
}

// inspected reads a bundle within the limits of a sidecar with these settings.
func inspected(ctx context.Context, file string, archive []byte, set settings.Settings, verify func([]byte, []bundle.File) (engine.Verified, error)) bundled.Contents {
	return bundled.Inspect(ctx, file, archive, bundle.Limits{Files: set.MaxFiles}, verify)
}

func verifyBundle(c *cli.Context) error {
	file, archive, set, err := openBundle(c)
	if err != nil {
		return err
	}
	sources, err := signed.ForBundles(set)
	if err != nil {
		return err
	}
	if sources == nil {
		return &exitError{exitUsage, errors.New("no setting says whose signature counts: give --signature-keys and --signature-scope")}
	}
	found := inspected(c.Context, file, archive, set, sources.VerifyBundle)
	if found.Bundle == nil {
		report.Write(c.App.Writer, found.Problems)
		if len(found.Problems) > 0 {
			return fmt.Errorf("%s: not signed as it has to be: %s", file, terminal.Count(len(found.Problems), "problem"))
		}
		return fmt.Errorf("%s: %w", file, found.Refused)
	}
	_, err = terminal.Fprintf(c.App.Writer, "signed by %s: %s\n", signatureLine(api.SignatureOf(found.Signed)), terminal.Count(len(found.All), "file"))
	return err
}

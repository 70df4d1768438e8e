package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"defenseclaw/cmd/internal/bundled"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/bundle"
	"defenseclaw/engine/signature"
	"defenseclaw/engine/source"

	"github.com/urfave/cli/v2"
)

func bundleCommand() *cli.Command {
	output := &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the bundle to `FILE`"}
	return &cli.Command{
		Name: "bundle", Usage: "build, sign, verify and inspect bundles of policy, as OPA has them",
		HideHelpCommand: true, OnUsageError: usageExit, Action: needsCommand,
		Subcommands: []*cli.Command{
			{
				Name: "build", ArgsUsage: "[DIR]", Action: buildBundle, OnUsageError: usageExit,
				Usage: "build a bundle of a policy directory that loads; the same files give the same bytes; tests are left out",
				Flags: append(append(settingFlags("policy-dir", "data-dir", "overlays", "allow-outside-links"), output, regoDirFlag(),
					&cli.StringFlag{Name: "revision", Usage: "call the bundle's version `TEXT` (default: that of the file .manifest, else the revision that a sidecar shows for the directory)"},
					&cli.StringSliceFlag{Name: "root", Usage: "the bundle owns `PATH` below data, such as authz/payments, and nothing else; may be repeated (default: those of the file .manifest, else everything)"},
				), signingFlags()...),
			},
			{
				Name: "sign", ArgsUsage: "FILE", Action: signBundle, OnUsageError: usageExit,
				Usage: "sign a bundle, also one that opa build made: writes its .signatures.json, and leaves its files as they are",
				Flags: append(append(settingFlags("data-dir", "max-files"), output), signingFlags()...),
			},
			{
				Name: "verify", ArgsUsage: "FILE", Action: verifyBundle, OnUsageError: usageExit,
				Usage: "say who signed a bundle, by --signature-keys and --signature-scope, as a sidecar would before it loads it",
				Flags: settingFlags("data-dir", "max-files", "signature-keys", "signature-scope"),
			},
			{
				Name: "inspect", ArgsUsage: "FILE", Action: inspectBundle, OnUsageError: usageExit,
				Usage: "show what a bundle holds, who signed it, and what a sidecar would leave out of it, or refuse it for (exit code 4)",
				Flags: append(settingFlags("data-dir", "max-files", "signature-keys", "signature-scope"), &cli.BoolFlag{Name: "json", Usage: "print JSON"}),
			},
		},
	}
}

func signingFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "signing-key", Usage: "sign with the private key in `FILE`, PEM, or with the secret in it for HS256, HS384 or HS512"},
		&cli.StringFlag{Name: "signing-alg", Usage: "`NAME` of OPA's algorithm (default: RS256 for RSA, that of the curve for ECDSA)"},
		&cli.StringFlag{Name: "key-id", Usage: "`NAME` of the key, by which signature.keys knows its public half (default: the name of its file, without what follows a dot)"},
		&cli.StringFlag{Name: "scope", Usage: "sign for this `SCOPE`, which tells the policies apart that one key signs (default: signature.scope)"},
		&cli.DurationFlag{Name: "expires", Usage: "the signature is good for `DURATION`: the bundle is not loaded with it afterwards (default: for ever)"},
	}
}

// bundleSigner signs as signingFlags say; nil if they name no key.
func bundleSigner(c *cli.Context, scope string) (func([]bundle.File) ([]byte, error), error) {
	file := c.String("signing-key")
	if file == "" {
		for _, name := range []string{"signing-alg", "key-id", "scope", "expires"} {
			if c.IsSet(name) {
				return nil, &exitError{exitUsage, fmt.Errorf("--%s is about a signature: --signing-key is missing", name)}
			}
		}
		return nil, nil
	}
	if given := c.String("scope"); given != "" {
		scope = given
	}
	if scope == "" {
		return nil, &exitError{exitUsage, errors.New("--scope is missing: the same key may sign other policies")}
	}
	id := c.String("key-id")
	if id == "" {
		id, _, _ = strings.Cut(filepath.Base(file), ".")
	}
	content, err := os.ReadFile(file) //nolint:gosec // the operator's own
	if err != nil {
		return nil, err
	}
	signer, err := signature.NewSigner(id, c.String("signing-alg"), scope, content)
	if err != nil {
		return nil, fmt.Errorf("--signing-key %s: %w", file, err)
	}
	var expires time.Time
	if d := c.Duration("expires"); d > 0 {
		expires = time.Now().Add(d)
	}
	return func(files []bundle.File) ([]byte, error) { return signer.SignBundle(files, expires) }, nil
}

func buildBundle(c *cli.Context) error {
	set, err := resolve(c)
	if err != nil {
		return err
	}
	dir, err := oneDirectory(c, set.PolicyDir)
	if err != nil {
		return err
	}
	if c.String("output") == "" {
		return &exitError{exitUsage, errors.New("--output is missing: policy bundle build -o FILE DIR")}
	}
	sign, err := bundleSigner(c, set.Signature.Scope)
	if err != nil {
		return err
	}
	src, err := source.Open(dir, source.Config{AllowOutside: set.OutsideLinks, Overlays: set.Overlays})
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // it was only read
	g, err := engine.Load(c.Context, src, nil)
	if refused := new(engine.Refused); errors.As(err, &refused) && len(refused.Diagnostics) > 0 {
		printProblems(c.App.ErrWriter, dir, refused.Diagnostics)
		return fmt.Errorf("%s: %s", dir, terminal.Count(len(refused.Diagnostics), "problem"))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	manifest, err := manifestFor(c, g, src)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	files, err := bundled.Files(g, manifest)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	ignored, err := source.Read(c.Context, src, source.Options{TestsAside: true})
	if err != nil {
		return err
	}
	for _, f := range ignored.Ignored().Files {
		terminal.Fprintf(c.App.ErrWriter, "left out: %s: %s\n", f.Path, f.Reason)
	}
	return writeBundle(c, files, sign)
}

// manifestFor is what the flags say or else the file .manifest of the directory.
func manifestFor(c *cli.Context, g *engine.Generation, src fs.FS) (bundled.Manifest, error) {
	root, err := fs.Sub(src, g.Root())
	if err != nil {
		return bundled.Manifest{}, err
	}
	m, err := bundled.ReadManifest(root)
	if err != nil {
		return m, err
	}
	if text := c.String("revision"); text != "" {
		m.Revision = text
	}
	if roots := c.StringSlice("root"); len(roots) > 0 {
		m.Roots = roots
	}
	return m, nil
}

// writeBundle packs files, looks at the result as a sidecar does, and puts it into its place. sign may be nil.
func writeBundle(c *cli.Context, files []bundle.File, sign func([]bundle.File) ([]byte, error)) error {
	var signatures []byte
	if sign != nil {
		var err error
		if signatures, err = sign(files); err != nil {
			return err
		}
	}
	var archive bytes.Buffer
	if err := bundle.Write(&archive, files, signatures); err != nil {
		return err
	}
	to := c.String("output")
	b, err := bundle.Read(c.Context, bytes.NewReader(archive.Bytes()), bundle.Limits{}, nil)
	if err != nil {
		return fmt.Errorf("%s is not written, since no sidecar would take it: %w", to, err)
	}
	if err := writeWhole(to, archive.Bytes()); err != nil {
		return fmt.Errorf("write %s: %w", to, err)
	}
	by := "not signed"
	if signatures != nil {
		claimed, err := signature.Describe(signatures)
		if err != nil {
			return err
		}
		by = claimedLine(claimed)
	}
	_, err = terminal.Fprintf(c.App.Writer, "%s: %s, %d bytes, revision %s, %s\n", to, terminal.Count(len(b.Files), "file"), archive.Len(), b.Revision, by)
	return err
}

func claimedLine(s signature.Claimed) string {
	text := fmt.Sprintf("signed by %s (%s), scope %s", s.KeyID, s.Algorithm, s.Scope)
	if !s.Expires.IsZero() {
		text += ", until " + s.Expires.Format(time.RFC3339)
	}
	return text
}

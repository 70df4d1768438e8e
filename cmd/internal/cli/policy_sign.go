package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/signature"
	"defenseclaw/engine/source"

	"github.com/urfave/cli/v2"
)

func signCommand() *cli.Command {
	return &cli.Command{
		Name:      "sign",
		Usage:     "sign the files of a policy directory: writes .signatures.json, as opa sign does; to be run last, when all files are there",
		ArgsUsage: "[DIR]",
		Flags: append(settingFlags("policy-dir", "data-dir", "overlays", "signature-scope"), regoDirFlag(),
			&cli.StringFlag{Name: "key", Usage: "sign with the private key in `FILE`, PEM, or with the secret in it for HS256, HS384 or HS512"},
			&cli.StringFlag{Name: "key-id", Usage: "`NAME` of the key, by which signature.keys knows its public half"},
			&cli.StringFlag{Name: "algorithm", Usage: "`NAME` of OPA's algorithm (default: RS256 for RSA, that of the curve for ECDSA)"},
			&cli.DurationFlag{Name: "expires", Usage: "the signature is good for `DURATION`: files are not loaded with it afterwards (default: for ever)"},
		),
		Action:       signPolicy,
		OnUsageError: usageExit,
	}
}

func signPolicy(c *cli.Context) error {
	set, err := resolve(c)
	if err != nil {
		return err
	}
	dir, err := oneDirectory(c, set.PolicyDir)
	if err != nil {
		return err
	}
	for name, value := range map[string]string{"--key": c.String("key"), "--key-id": c.String("key-id"), "--signature-scope": set.Signature.Scope} {
		if value == "" {
			return &exitError{exitUsage, fmt.Errorf("%s is missing: policy sign --key FILE --key-id NAME --signature-scope SCOPE DIR", name)}
		}
	}
	content, err := os.ReadFile(c.String("key"))
	if err != nil {
		return err
	}
	signer, err := signature.NewSigner(c.String("key-id"), c.String("algorithm"), set.Signature.Scope, content)
	if err != nil {
		return fmt.Errorf("--key %s: %w", c.String("key"), err)
	}
	src, err := source.Open(dir, source.Config{Overlays: set.Overlays})
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // it was only read
	var expires time.Time
	if d := c.Duration("expires"); d > 0 {
		expires = time.Now().Add(d)
	}
	text, names, err := signer.Sign(c.Context, src, expires)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, source.SignaturesName)
	if err := writeWhole(path, text); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = terminal.Fprintf(c.App.Writer, "signed %s with the key %s (%s), scope %s: %s\n",
		terminal.Count(len(names), "file"), c.String("key-id"), signer.Algorithm, set.Signature.Scope, path)
	return err
}

// writeWhole has the file appear whole: a sidecar may look at any moment. Everybody may read it.
func writeWhole(path string, text []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), source.SignaturesName+".*")
	if err != nil {
		return err
	}
	const readable = 0o644
	_, err = temp.Write(text)
	err = errors.Join(err, temp.Chmod(readable), temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}

package cli

import (
	"errors"
	"fmt"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/signed"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/source"

	"github.com/urfave/cli/v2"
)

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "say who signed a policy directory, by the settings signature.*, as a sidecar would before it loads it",
		ArgsUsage: "[DIR]",
		Flags: append(settingFlags("policy-dir", "data-dir", "overlays", "allow-outside-links", "signature-keys", "signature-scope",
			"signature-git", "signature-allowed-signers", "signature-keyring", "signature-monotonic"), regoDirFlag()),
		Action:       verifyPolicy,
		OnUsageError: usageExit,
	}
}

func verifyPolicy(c *cli.Context) error {
	set, err := resolve(c)
	if err != nil {
		return err
	}
	if set.PolicyDir, err = oneDirectory(c, set.PolicyDir); err != nil {
		return err
	}
	if !signed.Asked(set.Signature) {
		return &exitError{exitUsage, errors.New("no setting says whose signature counts: give --signature-keys and --signature-scope, or --signature-git and --signature-allowed-signers")}
	}
	sources, err := signed.New(set)
	if err != nil {
		return err
	}
	src, err := source.Open(set.PolicyDir, source.Config{AllowOutside: set.OutsideLinks, Overlays: set.Overlays})
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // it was only read
	reading, err := source.Read(c.Context, src, source.Options{TestsAside: true})
	if err != nil {
		return err
	}
	by, err := sources.Func()(c.Context, src, reading)
	if wrong := (diagnostic.List)(nil); errors.As(err, &wrong) {
		printProblems(c.App.Writer, set.PolicyDir, wrong)
		return fmt.Errorf("%s: not signed as it has to be: %s", set.PolicyDir, terminal.Count(len(wrong), "problem"))
	}
	if err != nil {
		return fmt.Errorf("%s: not signed as it has to be: %w", set.PolicyDir, err)
	}
	_, err = terminal.Fprintf(c.App.Writer, "signed by %s: %s, %s\n", signatureLine(api.SignatureOf(by)),
		terminal.Count(len(reading.Files()), "file"), terminal.Count(len(reading.Tests()), "test"))
	return err
}

// signatureLine is who signed a policy, for people.
func signatureLine(s *api.Signature) string {
	text := s.By + " (" + s.Fingerprint + ")"
	if s.Commit != "" {
		text += ", commit " + s.Commit
	}
	return text
}

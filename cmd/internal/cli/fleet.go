package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/watcher/fleet/record"

	"github.com/urfave/cli/v2"
)

// Exit codes of the commands of a fleet, besides those of every command.
const (
	exitNot         = 3 // agents refuse, or are lost
	exitBeaten      = 4 // somebody else was first
	exitTime        = 5 // time ran out
	exitUnreachable = 6 // no broker answers
)

// The environment of the commands of a fleet. The private key is in a file or here: all users of a machine can read arguments.
const (
	fleetURL        = "DEFENSECLAW_FLEET_URL"
	fleetCreds      = "DEFENSECLAW_FLEET_CREDS"
	fleetCA         = "DEFENSECLAW_FLEET_CA"
	fleetDomain     = "DEFENSECLAW_FLEET_DOMAIN"
	fleetKey        = "DEFENSECLAW_FLEET_KEY"
	fleetSourceKeys = "DEFENSECLAW_FLEET_SOURCE_KEYS"
)

// fleetVariables are all of them, for the documents.
var fleetVariables = []string{fleetURL, fleetCreds, fleetCA, fleetDomain, fleetKey, fleetSourceKeys}

func fleetCommand(broker ...Broker) *cli.Command {
	return &cli.Command{
		Name:  "fleet",
		Usage: "publish policy to the sidecars that follow a broker, and see what they serve",
		Subcommands: []*cli.Command{
			fleetPublishCommand(), fleetRollbackCommand(), fleetStatusCommand(), fleetWaitCommand(), fleetAgentsCommand(), fleetForgetCommand(), fleetHistoryCommand(),
			fleetPromoteCommand(), fleetPauseCommand(), fleetResumeCommand(), fleetAbortCommand(), fleetControllerCommand(),
			fleetInitCommand(), fleetKeyCommand(), fleetUserCommand(), fleetServerCommand(broker...),
		},
		HideHelpCommand: true,
		OnUsageError:    usageError,
		Action:          needsCommand,
	}
}

// fleetFlags say where the broker is and who asks.
func fleetFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "url", Usage: "the broker is at `URL`: nats://HOST:PORT or tls://HOST:PORT, several hosts with commas between them [$" + fleetURL + "]"},
		&cli.StringFlag{Name: "creds", Usage: "show the broker the credentials in `FILE`: of nsc, a seed, or a token [$" + fleetCreds + "]"},
		&cli.StringFlag{Name: "ca", Usage: "trust the certificates in `FILE`, and no others, to sign the broker's [$" + fleetCA + "]"},
		&cli.StringFlag{Name: "domain", Usage: "`NAME` of the JetStream domain, where the broker is behind a leaf node [$" + fleetDomain + "]"},
	}, more...)
}

// channelFlag chooses the channel.
func channelFlag() cli.Flag {
	return &cli.StringFlag{Name: "channel", Aliases: []string{"C"}, Usage: "the `CHANNEL`, which may also be the path of the URL"}
}

// keyFlags choose the private keys, and whose records are trusted.
func keyFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "key", Usage: "sign with the private keys in `FILES`, with commas between them, which fleet key new made; without it, with the text in $" + fleetKey},
		sourceKeysFlag(),
	}
}

func sourceKeysFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "source-keys", Usage: "trust records that the keys in `FILE` signed, the agents' file, besides those of --key [$" + fleetSourceKeys + "]",
	}
}

// orEnv is the value of a flag, or of a variable where the flag is not set.
func orEnv(c *cli.Context, name, variable string) string {
	if v := c.String(name); v != "" {
		return v
	}
	return os.Getenv(variable)
}

// link connects to the broker, and says which channel is meant; empty if none is.
func link(ctx context.Context, c *cli.Context) (*fleet.Link, string, error) {
	return linkBy(ctx, c, fleet.Config{})
}

// linkBy is link with a configuration, of which it fills in what the flags say.
func linkBy(ctx context.Context, c *cli.Context, cfg fleet.Config) (*fleet.Link, string, error) {
	url := orEnv(c, "url", fleetURL)
	if url == "" {
		return nil, "", &exitError{exitUsage, errors.New("--url is missing, and $" + fleetURL + " is not set: nats://HOST:PORT was expected")}
	}
	_, channel, err := fleet.ParseURL(url)
	if err != nil {
		return nil, "", &exitError{exitUsage, err}
	}
	if given := c.String("channel"); given != "" {
		channel = given
	}
	cfg.URL, cfg.Creds, cfg.CA, cfg.Domain = url, orEnv(c, "creds", fleetCreds), orEnv(c, "ca", fleetCA), orEnv(c, "domain", fleetDomain)
	l, err := fleet.Connect(ctx, cfg)
	return l, channel, fleetExit(err)
}

// channelLink is [link] for commands that are about one channel.
func channelLink(ctx context.Context, c *cli.Context) (*fleet.Link, string, error) {
	return channelLinkBy(ctx, c, fleet.Config{})
}

// channelLinkBy is [linkBy] for commands that are about one channel.
func channelLinkBy(ctx context.Context, c *cli.Context, cfg fleet.Config) (*fleet.Link, string, error) {
	l, channel, err := linkBy(ctx, c, cfg)
	if err != nil {
		return nil, "", err
	}
	if err := record.CheckName("--channel", channel); err != nil {
		l.Close()
		return nil, "", &exitError{exitUsage, err}
	}
	return l, channel, nil
}

// inChannel calls do with a connection to the broker of one channel, for as long as the flag timeout says.
func inChannel(c *cli.Context, do func(ctx context.Context, l *fleet.Link, channel string) error) error {
	ctx, cancel := within(c, c.Duration("timeout"))
	defer cancel()
	l, channel, err := channelLink(ctx, c)
	if err != nil {
		return err
	}
	defer l.Close()
	return do(ctx, l, channel)
}

// signers reads the private keys; nil if none is given.
func signers(c *cli.Context) (*fleet.Signers, error) {
	var texts [][]byte
	from := "$" + fleetKey
	switch files := c.String("key"); {
	case files != "":
		from = "--key " + files
		for file := range strings.SplitSeq(files, ",") {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			texts = append(texts, text)
		}
	case os.Getenv(fleetKey) != "":
		texts = append(texts, []byte(os.Getenv(fleetKey)))
	default:
		return nil, nil
	}
	s, err := fleet.ReadSigners(texts...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return s, nil
}

// needSigners is [signers] for commands that sign.
func needSigners(c *cli.Context) (*fleet.Signers, error) {
	s, err := signers(c)
	if err == nil && s == nil {
		err = &exitError{exitUsage, errors.New("--key is missing, and $" + fleetKey + " is not set: a private key that fleet key new made was expected")}
	}
	return s, err
}

// signing are the keys of a command that signs: its own, and those whose records it trusts.
func signing(c *cli.Context) (*fleet.Signers, *record.Keys, error) {
	by, err := needSigners(c)
	if err != nil {
		return nil, nil, err
	}
	keys, err := trusted(c, by)
	return by, keys, err
}

// trusted are the keys of --source-keys, and those of the signers.
func trusted(c *cli.Context, by *fleet.Signers) (*record.Keys, error) {
	var lines []string
	if by != nil {
		lines = by.Lines()
	}
	file := orEnv(c, "source-keys", fleetSourceKeys)
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		lines = append(lines, string(text))
	}
	keys, err := record.ParseKeys([]byte(strings.Join(lines, "\n")))
	switch {
	case err != nil && file == "":
		return nil, &exitError{exitUsage, errors.New("--source-keys is missing: the agents' file of keys was expected, to see who signed the records")}
	case err != nil:
		return nil, fmt.Errorf("--source-keys %s: %w", file, err)
	}
	return keys, nil
}

// within is the context of a command with a time limit, which a signal ends as well.
func within(c *cli.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGINT, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, limit)
	return ctx, func() { cancel(); stop() }
}

// fleetExit gives the errors of package fleet their exit codes.
func fleetExit(err error) error {
	var own *exitError
	switch {
	case err == nil || errors.As(err, &own):
		return err
	case errors.As(err, new(*fleet.Beaten)):
		return &exitError{exitBeaten, err}
	case errors.As(err, new(*fleet.Timeout)) || errors.Is(err, context.DeadlineExceeded):
		return &exitError{exitTime, err}
	case errors.Is(err, fleet.ErrUnreachable):
		return &exitError{exitUnreachable, err}
	default:
		return err
	}
}

// sameRevision reports whether a revision is the one that somebody means, who may leave out sha256: and its end.
func sameRevision(revision, meant string) bool {
	const shortest = 6
	meant = strings.TrimPrefix(meant, "sha256:")
	return len(meant) >= shortest && strings.HasPrefix(strings.TrimPrefix(revision, "sha256:"), meant)
}

// labelsOf reads name=value,….
func labelsOf(flag, text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	labels := map[string]string{}
	for one := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(one), "=")
		if !ok || name == "" {
			return nil, &exitError{exitUsage, fmt.Errorf("%s is %q: NAME=VALUE was expected, several with commas between them", flag, text)}
		}
		labels[name] = value
	}
	return labels, nil
}

package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

// Broker serves a broker until the context ends: package cmd/internal/fleet/broker.
type Broker func(context.Context, fleet.BrokerConfig) error

func fleetServerCommand(broker ...Broker) *cli.Command {
	return &cli.Command{
		Name: "server",
		Usage: "be the broker of a small site until SIGINT or SIGTERM; prints its URL when it serves. " +
			"The first start makes a publisher, whose credentials are in DIR/" + fleet.PublisherFile + "; fleet user makes others",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "addr", Value: "127.0.0.1:4222", Usage: "listen on `HOST:PORT`; beyond loopback, --tls-cert is needed"},
			&cli.StringFlag{Name: "store", Usage: "keep everything in `DIR`, which only its owner can read"},
			&cli.StringFlag{Name: "tls-cert", Usage: "show clients the certificate in `FILE`, PEM, read again for each"},
			&cli.StringFlag{Name: "tls-key", Usage: "the private key of --tls-cert, in `FILE`"},
			&cli.StringFlag{Name: "domain", Usage: "`NAME` of the JetStream domain, for leaf nodes"},
		},
		OnUsageError: usageExit,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return &exitError{exitUsage, err}
			}
			if c.String("store") == "" {
				return &exitError{exitUsage, errors.New("--store is missing: a directory was expected")}
			}
			if len(broker) == 0 {
				return otherProgram()
			}
			ctx, stop := signal.NotifyContext(c.Context, syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return broker[0](ctx, fleet.BrokerConfig{
				Addr: c.String("addr"), Dir: c.String("store"), TLSCert: c.String("tls-cert"), TLSKey: c.String("tls-key"), Domain: c.String("domain"),
				Ready: func(url string) { terminal.Fprintf(c.App.Writer, "%s\n", url) },
				Log:   func(line string) { terminal.Fprintf(c.App.ErrWriter, "%s\n", line) },
			})
		},
	}
}

// otherProgram runs this command by the program that has a broker: the sidecar has none, since it would cost each one that
// never serves it 9.5 MB and a timer.
func otherProgram() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	name := "defenseclaw"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	program := filepath.Join(filepath.Dir(self), name)
	if info, err := os.Stat(program); err != nil || info.IsDir() || program == self {
		return errors.New("this program has no broker in it: run it as defenseclaw fleet server, or put the program defenseclaw beside this one")
	}
	return become(program, append([]string{program}, os.Args[1:]...))
}

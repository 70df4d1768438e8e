package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"defenseclaw/cmd/internal/dev"
	"defenseclaw/cmd/internal/earlysignal"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"
	"defenseclaw/engine/review/probe"
	"defenseclaw/watcher"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"
	"golang.org/x/term"
)

func devCommand() *cli.Command {
	return &cli.Command{
		Name:      "dev",
		Usage:     "watch a policy directory while you edit: compile, run the affected tests, show decisions for saved inputs, and find others that differ",
		ArgsUsage: "[DIR]",
		Flags: append(settingFlags(), regoDirFlag(),
			&cli.BoolFlag{Name: "plain", Usage: "print lines, do not use the whole terminal"},
			&cli.StringFlag{Name: "run", Usage: "run only tests whose name matches `REGEXP`"},
			&cli.DurationFlag{
				Name: "probe-time", Value: probe.DefaultCPU,
				Usage: "processor time of the search, after each change, for inputs that it has the policy answer otherwise; 0: no search",
			},
			&cli.BoolFlag{Name: "serve", Usage: "also run the sidecar on the directory"},
		),
		Action:       runDev,
		OnUsageError: usageError,
	}
}

func runDev(c *cli.Context) error {
	s, err := resolve(c)
	if err != nil {
		return err
	}
	found, err := choose(c, c.Args().Slice())
	switch {
	case errors.As(err, new(*noPolicy)), err == nil && found.why == s.PolicyWhy && s.PolicyFrom != settings.PolicySet:
		s.PolicyDir = "." // the author begins here, and does not work in the data directory
	case err != nil:
		return err
	case found.dir == "":
		return errors.New("expected a directory: the embedded default pack cannot be edited")
	default:
		s.PolicyDir = found.dir
		found.sayWhich(c)
	}
	s.PolicyFrom, s.PolicyWhy = settings.PolicySet, "the directory of policy dev"
	scope := dev.Scope{}
	if filter := c.String("run"); filter != "" {
		if scope.Filter, err = regexp.Compile(filter); err != nil {
			return fmt.Errorf("--run: %w", err)
		}
	}
	loop, err := dev.New(dev.Config{
		Dir: s.PolicyDir, Mode: watcher.Mode(s.WatchMode), Overlays: s.Overlays, ProbeTime: c.Duration("probe-time"), Scope: scope,
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	stdout := os.Stdout //nolint:forbidigo // the screen's own escape sequences; package dev cleans the text between them
	screen := !c.Bool("plain") && term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(stdout.Fd()))
	note := ""
	show := func(ctx context.Context) error {
		if screen {
			return dev.Screen(ctx, loop, os.Stdin, stdout, note)
		}
		return dev.Plain(ctx, loop, c.App.Writer)
	}
	if !c.Bool("serve") {
		return show(ctx)
	}
	logger := zap.NewNop() // log lines would garble the screen, which shows the result of each reload
	if !screen {
		logger, _ = newLogger(c.App.ErrWriter, s.LogFormat, s.LogLevel)
	}
	side, err := sidecar.New(sidecar.Config{Settings: s, HUP: earlysignal.HUP, Version: version(), Logger: logger})
	if err != nil {
		return err
	}
	note = "serving on " + side.URL()
	return dev.RunBoth(ctx, show, func(ctx context.Context) error { return side.Run(ctx, func() {}) })
}

package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"defenseclaw/cmd/internal/earlysignal"
	"defenseclaw/cmd/internal/gcpacer"
	"defenseclaw/cmd/internal/sidecar"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:         "serve",
		Usage:        "run the sidecar in the foreground until SIGINT or SIGTERM; SIGHUP reloads; this is the default command",
		Flags:        settingFlags(),
		Action:       serve,
		OnUsageError: usageError,
	}
}

func serve(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	s, err := resolve(c)
	if err != nil {
		return err
	}
	pacer := gcpacer.New(os.Getenv)
	defer pacer.Release()
	logger := newLogger(s.LogFormat, s.LogLevel)
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills the process
	side, err := sidecar.New(sidecar.Config{Settings: s, HUP: earlysignal.HUP, Version: version(), Stdout: os.Stdout, Logger: logger})
	if err != nil {
		return err
	}
	logger.Info("starting", zap.String("version", version()), zap.String("policy_dir", s.PolicyDir),
		zap.String("data_dir", s.DataDir), zap.String("address", side.Addr()), zap.Bool("watch", s.Watch))
	err = side.Run(ctx, func() {
		greet(s, side, logger)
		pacer.Serve()
	})
	logger.Info("stopped", zap.Error(err))
	return err
}

package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

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
	snapshot, err := reader(flagValues(c)).Read()
	if err != nil {
		return err
	}
	s := snapshot.Settings
	pacer := gcpacer.New(os.Getenv)
	defer pacer.Release()
	logger, setLevel := newLogger(c.App.ErrWriter, s.LogFormat, s.LogLevel)
	leaving, ctx, release := stopSignals(c.Context, s.ShutdownDelay)
	defer release()
	side, err := sidecar.New(sidecar.Config{
		Settings: s, Snapshot: snapshot, LogLevel: setLevel, HUP: earlysignal.HUP, Leaving: leaving, Version: version(), Stdout: c.App.Writer, Logger: logger,
	})
	if err != nil {
		return err
	}
	logger.Info("starting", zap.String("version", version()), zap.String("policy_dir", s.PolicyDir),
		zap.String("policy_from", string(s.PolicyFrom)), zap.String("policy_why", s.PolicyWhy),
		zap.String("data_dir", s.DataDir), zap.String("address", side.Addr()), zap.Bool("watch", s.Watch))
	for _, key := range s.NotHonored {
		logger.Warn("a setting of the original gateway is not honored", zap.String("setting", key))
	}
	err = side.Run(ctx, func() {
		greet(c.App.ErrWriter, s, side, logger)
		pacer.Serve()
	})
	logger.Info("stopped", zap.Error(err))
	return err
}

// stopSignals says when to stop. At the first SIGINT or SIGTERM leaving is closed; stopped ends after another
// delay, which a second signal cuts short. From then on the next signal ends the process. The caller must
// call release.
func stopSignals(ctx context.Context, delay time.Duration) (leaving <-chan struct{}, stopped context.Context, release func()) {
	signals := make(chan os.Signal, 2) // the second may come before the first has been read
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	asked, done := make(chan struct{}), make(chan struct{})
	stopped, stop := context.WithCancel(ctx)
	go func() {
		defer close(done)
		defer stop()
		defer signal.Stop(signals)
		select {
		case <-signals:
		case <-stopped.Done():
			return
		}
		close(asked)
		if delay == 0 {
			return
		}
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-signals:
		case <-stopped.Done():
		}
	}()
	return asked, stopped, func() {
		stop()
		<-done
	}
}

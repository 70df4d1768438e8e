package cli

import (
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// logsToPeople resolves the format: console on a terminal, JSON where a program collects the log.
func logsToPeople(format string) bool {
	return format == "console" || format == "auto" && term.IsTerminal(int(os.Stderr.Fd()))
}

// newLogger writes to standard error: standard output is for results.
func newLogger(format, level string) *zap.Logger {
	encoding := zap.NewProductionEncoderConfig()
	encoding.TimeKey, encoding.EncodeTime = "time", zapcore.TimeEncoderOfLayout(time.RFC3339Nano)
	encoding.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(encoding)
	if logsToPeople(format) {
		encoding.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoding.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(encoding)
	}
	atLeast, err := zapcore.ParseLevel(level)
	if err != nil {
		atLeast = zapcore.InfoLevel // settings were checked before
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), atLeast))
}

package cli

import (
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// logsToPeople reports whether the log is in the console format: auto means console on a terminal, JSON
// elsewhere.
func logsToPeople(format string) bool {
	return format == "console" || format == "auto" && term.IsTerminal(int(os.Stderr.Fd()))
}

// newLogger returns a logger that writes to standard error; standard output is for results.
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
	minLevel, err := zapcore.ParseLevel(level)
	if err != nil {
		minLevel = zapcore.InfoLevel // never: settings are validated
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), minLevel))
}

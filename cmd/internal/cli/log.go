package cli

import (
	"io"
	"os"
	"time"

	"defenseclaw/cmd/internal/terminal"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// logsToPeople reports whether the log is in the console format: auto means console on a terminal, JSON
// elsewhere.
func logsToPeople(format string) bool {
	return format == "console" || format == "auto" && term.IsTerminal(int(os.Stderr.Fd())) //nolint:forbidigo // it is only asked what it is
}

// newLogger returns a logger that writes to w, which is standard error: standard output is for results. setLevel changes its
// level at any time.
func newLogger(w io.Writer, format, level string) (logger *zap.Logger, setLevel func(level string)) {
	encoding := zap.NewProductionEncoderConfig()
	encoding.TimeKey, encoding.EncodeTime = "time", zapcore.TimeEncoderOfLayout(time.RFC3339Nano)
	encoding.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(encoding)
	if logsToPeople(format) {
		encoding.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoding.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = oneLine{zapcore.NewConsoleEncoder(encoding)}
	}
	minLevel := zap.NewAtomicLevel()
	setLevel = func(level string) {
		if l, err := zapcore.ParseLevel(level); err == nil { // always: settings are validated
			minLevel.SetLevel(l)
		}
	}
	setLevel(level)
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(w), minLevel)), setLevel
}

// oneLine keeps the messages of a log for people in their lines; the fields are JSON. Stacks have lines of their own.
type oneLine struct{ zapcore.Encoder }

func (e oneLine) Clone() zapcore.Encoder { return oneLine{e.Encoder.Clone()} }

func (e oneLine) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	entry.Message = string(terminal.Line(entry.Message))
	return e.Encoder.EncodeEntry(entry, fields)
}

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
		encoding.EncodeLevel = styledLevel
		w = styled{w}
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

// styledLevel is the name of a level, coloured from WARN on.
func styledLevel(level zapcore.Level, to zapcore.PrimitiveArrayEncoder) {
	style := terminal.Plain
	switch {
	case level >= zapcore.ErrorLevel:
		style = terminal.Bad
	case level == zapcore.WarnLevel:
		style = terminal.Look
	}
	to.AppendString(string(style.Of(terminal.Clean(level.CapitalString()))))
}

// styled lets the styles of levels through. There are no others: oneLine escapes messages, and fields are JSON.
type styled struct{ w io.Writer }

func (s styled) Write(p []byte) (int, error) {
	if _, err := terminal.Fprintf(s.w, "%s", terminal.Clean(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// oneLine keeps the messages of a log for people in their lines; the fields are JSON. Stacks have lines of their own.
type oneLine struct{ zapcore.Encoder }

func (e oneLine) Clone() zapcore.Encoder { return oneLine{e.Encoder.Clone()} }

func (e oneLine) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	entry.Message = string(terminal.Line(entry.Message))
	return e.Encoder.EncodeEntry(entry, fields)
}

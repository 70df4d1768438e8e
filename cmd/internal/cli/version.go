package cli

import (
	"fmt"
	"runtime/debug"

	"defenseclaw/cmd/internal/report"

	opa "github.com/open-policy-agent/opa/v1/version"
	"github.com/urfave/cli/v2"
)

// built is what a program knows of its build. What the build did not record is empty.
type built struct {
	Version  string `json:"version"`          // "(devel)" where the build knew no version
	Commit   string `json:"commit,omitempty"` // of git, all digits
	Date     string `json:"date,omitempty"`   // of the commit, RFC 3339: the time of the build would make each build another file
	Modified bool   `json:"modified"`         // files differed from the commit
	Go       string `json:"go"`
	OPA      string `json:"opa"`
}

// version returns the version that the build recorded.
func version() string {
	return thisBuild().Version
}

func thisBuild() built {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return buildOf(info)
}

func buildOf(info *debug.BuildInfo) built {
	b := built{Version: info.Main.Version, Go: info.GoVersion, OPA: opa.Version}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String is one line: the version, and what it was built of.
func (b built) String() string {
	changed := ""
	if b.Modified {
		changed = " with changes"
	}
	return fmt.Sprintf("%s, commit %s%s of %s, %s, OPA %s", b.Version, orUnknown(b.Commit), changed, orUnknown(b.Date), orUnknown(b.Go), b.OPA)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:         "version",
		Usage:        "print version, commit, date, Go and OPA of this program",
		Flags:        []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print JSON"}},
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if c.Bool("json") {
				return report.JSON(c.App.Writer, thisBuild())
			}
			_, err := fmt.Fprintf(c.App.Writer, "%s version %s\n", c.App.Name, thisBuild())
			return err
		},
	}
}

package cli

import (
	"io"
	"os"
	"path/filepath"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/engine/diagnostic"

	"github.com/urfave/cli/v2"
)

// printProblems draws what is wrong with the policy in a directory, with files as the user names them where he stands.
func printProblems(w io.Writer, dir string, problems diagnostic.List) {
	report.Write(w, report.In(onDisk(dir), problems))
}

// onDisk is the directory of a policy that openSource names; empty for the embedded pack.
func onDisk(dir string) string {
	if dir == embeddedPack {
		return ""
	}
	return dir
}

// placeIn says how a file of a policy that openSource names is called where the user stands.
func placeIn(dir string) func(file string) string { return report.PlaceIn(onDisk(dir)) }

// toldIn names files as the user does where the directory of the sidecar is there for him, too: it may be another machine's.
func toldIn(dir string, problems diagnostic.List) diagnostic.List {
	if !filepath.IsAbs(dir) {
		return problems
	}
	for _, d := range problems {
		if d.File == "" {
			continue
		}
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(d.File))); err != nil {
			return problems
		}
	}
	return report.In(dir, problems)
}

// directoryOf is the policy directory of a sidecar, from the root of its machine; empty where it has none, or does not tell.
func directoryOf(s api.StatusAnswer) string {
	switch {
	case filepath.IsAbs(s.PolicyDir):
		return s.PolicyDir
	case s.PolicyDir == "" || !filepath.IsAbs(s.Process.Directory):
		return ""
	}
	return filepath.Join(s.Process.Directory, s.PolicyDir)
}

// servedDirectory asks a sidecar for its policy directory.
func servedDirectory(c *cli.Context, sidecar *api.Client) string {
	status, err := sidecar.Status(c.Context)
	if err != nil {
		return ""
	}
	return directoryOf(status)
}

// placeServed says how a file of the policy that a sidecar serves is called where the user stands.
func placeServed(c *cli.Context, sidecar *api.Client) func(file string) string {
	dir := servedDirectory(c, sidecar)
	return func(file string) string { return toldIn(dir, diagnostic.List{{File: file}})[0].File }
}

// placeForPeople is place where people read the output.
func placeForPeople(c *cli.Context, place func(file string) string) func(file string) string {
	if forPrograms(c) {
		return nil
	}
	return place
}

// forPrograms reports whether programs read the output: it has names as the policy directory has them.
func forPrograms(c *cli.Context) bool { return c.Bool("json") || c.String("format") == "json" }

package cli

import (
	"embed"
	"encoding/json"
	"os"
	"path/filepath"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/source"

	"github.com/urfave/cli/v2"
)

// guardsPack holds the guards that init --guards writes, and their tests.
//
//go:embed guards
var guardsPack embed.FS

// initGuards writes guards where the policy of a directory is: what lies beside its rego folder would not be read.
func initGuards(c *cli.Context, dir string) error {
	nested := filepath.Join(dir, "rego")
	if info, err := os.Stat(nested); err == nil && info.IsDir() && source.HasPolicy(c.Context, os.DirFS(nested)) {
		dir = nested
	}
	if err := writePack(c, guardsPack, "guards", dir); err != nil {
		return err
	}
	schema, err := json.MarshalIndent(api.GuardSchema(), "", "  ")
	if err != nil {
		return err
	}
	if err := writeOne(c, filepath.Join(dir, "guards.schema.json"), append(schema, '\n')); err != nil {
		return err
	}
	terminal.Fprintf(c.App.Writer, "\nNext:    defenseclaw policy test --rego-dir %s\n", dir)
	return nil
}

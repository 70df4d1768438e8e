package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

func tryCommand() *cli.Command {
	return &cli.Command{
		Name:      "try",
		Usage:     "evaluate one document, such as b/allow, against a directory or the running sidecar, and say why it is so",
		ArgsUsage: "PATH",
		Flags: append(append(dirFlags(), settingFlags("api-bind", "api-port", "api-socket", "tls-cert", "client-cert", "client-key")...),
			&cli.BoolFlag{Name: "live", Usage: "ask the running sidecar, not a directory"},
			&cli.StringFlag{Name: "input", Usage: "take the input from `FILE`, JSON; without it from stdin, where that is no terminal"},
			&cli.BoolFlag{Name: "explain", Usage: "say which rules fired, and which conditions failed with which values"},
			&cli.BoolFlag{Name: "coverage", Usage: "say which lines were not reached, of the files that were"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		),
		Action:       try,
		OnUsageError: usageError,
	}
}

// tried is what came of a try, as --json prints it.
type tried struct {
	Path        string           `json:"path"`
	Defined     bool             `json:"defined"`
	Result      any              `json:"result,omitempty"`
	Explanation []string         `json:"explanation,omitempty"`
	Coverage    map[string][]int `json:"not_covered,omitempty"`
}

func try(c *cli.Context) error {
	if c.NArg() != 1 {
		return errors.New("one path is expected, such as b/allow, behind the flags")
	}
	path, err := engine.ParsePath(strings.ReplaceAll(strings.TrimPrefix(c.Args().First(), "data."), ".", "/"))
	if err != nil {
		return err
	}
	input, err := tryInput(c.String("input"))
	if err != nil {
		return err
	}
	answer := tried{Path: path.String()}
	if c.Bool("live") {
		err = answer.live(c, path, input)
	} else {
		err = answer.local(c, path, input)
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return indented(c.App.Writer, answer)
	}
	return answer.print(c.App.Writer)
}

// tryInput is JSON, nil for none.
func tryInput(file string) (json.RawMessage, error) {
	name := file
	var text []byte
	var err error
	switch {
	case file != "":
		text, err = os.ReadFile(file)
	case !term.IsTerminal(int(os.Stdin.Fd())):
		name = "stdin"
		text, err = io.ReadAll(os.Stdin)
	}
	if err != nil {
		return nil, err
	}
	if len(strings.TrimSpace(string(text))) == 0 && file == "" {
		return nil, nil
	}
	if err := json.Unmarshal(text, new(any)); err != nil {
		return nil, fmt.Errorf("the input of %s is not JSON: %w", name, err)
	}
	return text, nil
}

func (t *tried) live(c *cli.Context, path engine.Path, input json.RawMessage) error {
	if c.Bool("coverage") || c.IsSet("rego-dir") {
		return errors.New("--live goes without --coverage and --rego-dir: the sidecar evaluates what it serves")
	}
	sidecar, err := client(c)
	if err != nil {
		return err
	}
	explain := ""
	if c.Bool("explain") {
		explain = "fails"
	}
	answer, err := sidecar.Data(c.Context, path, input, explain)
	if err != nil {
		return err
	}
	t.Explanation = answer.Explanation
	if answer.Result != nil {
		t.Defined, t.Result = true, *answer.Result
	}
	return nil
}

func (t *tried) local(c *cli.Context, path engine.Path, input json.RawMessage) error {
	g, err := generationOf(c)
	if err != nil {
		return err
	}
	var value ast.Value
	if input != nil {
		if value, err = ast.ValueFromReader(strings.NewReader(string(input))); err != nil {
			return fmt.Errorf("the input: %w", err)
		}
	}
	o := engine.Observation{}
	if c.Bool("explain") || c.Bool("coverage") {
		o.Tracer, o.EveryRule = topdown.NewBufferTracer(), c.Bool("explain")
	}
	result, err := g.Observe(c.Context, path, value, o)
	if err != nil {
		return err
	}
	if t.Defined = result != nil; t.Defined {
		if t.Result, err = ast.JSON(result); err != nil {
			return err
		}
	}
	if !t.Defined && !g.HasRules(path) {
		return fmt.Errorf("nothing is at %s: no rule and no data", path)
	}
	if c.Bool("explain") {
		t.Explanation = explainTrace(*o.Tracer, value)
	}
	if c.Bool("coverage") {
		t.cover(g, *o.Tracer)
	}
	return nil
}

// cover lists the lines not reached of the files that were reached.
func (t *tried) cover(g *engine.Generation, trace []*topdown.Event) {
	coverage, modules := cover.New(), map[string]*ast.Module{}
	for _, e := range trace {
		coverage.TraceEvent(*e)
	}
	for _, f := range g.Files() {
		if m := g.Module(f.Path); m != nil {
			modules[f.Path] = m
		}
	}
	t.Coverage = map[string][]int{}
	for name, f := range coverage.Report(modules).Files {
		if f.CoveredLines == 0 {
			continue
		}
		lines := []int{}
		for _, r := range f.NotCovered {
			for row := r.Start.Row; row <= r.End.Row; row++ {
				lines = append(lines, row)
			}
		}
		t.Coverage[name] = lines
	}
}

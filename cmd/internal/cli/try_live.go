package cli

import (
	"encoding/json"
	"errors"
	"net/url"

	"github.com/urfave/cli/v2"

	"defenseclaw/cmd/internal/explain"
	"defenseclaw/engine"
)

// tryLive asks the running sidecar.
func tryLive(c *cli.Context, path engine.Path, input json.RawMessage) (explain.Answer, error) {
	if c.Bool("coverage") || c.IsSet("rego-dir") || c.Bool("embedded") || c.NArg() > 1 || c.IsSet("at") {
		return explain.Answer{}, errors.New("--live cannot be combined with --at, --coverage, --embedded, --rego-dir or DIR: the sidecar evaluates the policy that it serves")
	}
	if c.Bool("tier") {
		return explain.Answer{}, errors.New("--live cannot be combined with --tier: `policy status --json` tells how the sidecar decides a path, in `decided`")
	}
	sidecar, err := client(c)
	if err != nil {
		return explain.Answer{}, err
	}
	params := url.Values{}
	if c.Bool("explain") {
		params.Set("pretty", "true")
		params.Set("explain", "fails")
	}
	if c.Bool("strict-builtin-errors") {
		params.Set("strict-builtin-errors", "true")
	}
	live, err := sidecar.Data(c.Context, path, input, params)
	if err != nil {
		return explain.Answer{}, err
	}
	answer := explain.Answer{Path: path.String(), Why: explain.Why{Explanation: live.Explanation}}
	if live.Result != nil {
		answer.Defined, answer.Result = true, *live.Result
	}
	return answer, nil
}

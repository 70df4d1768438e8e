//go:build unix

package cli

import "path/filepath"

// fleetRuns are the rows of [runsOf] for the commands of a fleet. None of them finds a broker.
func fleetRuns(good, bad, input string) map[string][][]string {
	nowhere := []string{"--url", "nats://127.0.0.1:1/prod", "--key", filepath.Join(good, "fleet.key")}
	at := func(args ...string) []string { return append(append([]string{}, nowhere...), args...) }
	order := [][]string{at("--by", hostile), at("-C", hostile), {"--url", hostile}, at("--source-keys", input), {"--key", hostile, "--url", "nats://" + hostile}, {hostile}}
	return map[string][][]string{
		"fleet key new":    {{hostile, "--role", "release"}, {"x", "--role", hostile}, {"x", "--role", "release", "--out", filepath.Join(good, "fleet.key")}, {"x", "--role", "stage", "--out", filepath.Join(bad, hostile)}},
		"fleet key list":   {{hostile}, {input}, {filepath.Join(good, "fleet.key"), filepath.Join(bad, hostile)}},
		"fleet publish":    {at(good), at(bad), at("--plan", hostile, good), at("--max-flips", hostile, good), at("--selector", hostile, good), at("--plan", "1%,ring="+hostile+",100%", good), {hostile, hostile}},
		"fleet wait":       {at("--revision", hostile), at("--selector", hostile), {"--url", hostile}, {hostile}},
		"fleet rollback":   append(order, at("--to", hostile), at("--message", hostile)),
		"fleet status":     {at(), at("--json"), {"--url", hostile}, at("--source-keys", input), {hostile}},
		"fleet agents":     {at(), at("--selector", hostile), at("--state", hostile), at("--without-key", hostile), {"--url", hostile}},
		"fleet history":    {at(), at("--json"), at("-C", hostile), {hostile}},
		"fleet forget":     {at(hostile), {"--url", hostile, "x"}, {hostile}},
		"fleet init":       {at(), {"--url", hostile}, {hostile}},
		"fleet user":       {{hostile, "--role", "agent"}, {"x", "--role", hostile}, {"x", "--role", "agent", "--channel", hostile}},
		"fleet server":     {{"--addr", hostile, "--store", filepath.Join(bad, "store")}, {"--store", input}, {hostile}},
		"fleet promote":    order,
		"fleet pause":      order,
		"fleet resume":     order,
		"fleet abort":      append(order, at("--message", hostile)),
		"fleet controller": append(order, at("--metrics", hostile), at("-C", "prod,"+hostile)),
	}
}

package settings_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"
)

var update = flag.Bool("update", false, "write docs/reference/configuration.md anew")

// documentSections are the parts of the document in its order. A setting is of the section with the longest prefix of its key.
var documentSections = []struct {
	title, about string
	prefixes     []string
}{
	{"Places", "Where policy and the sidecar's own files are.", []string{"", "policy_dir", "other_variables"}},
	{"Policy from elsewhere", "A bundle or a channel instead of a directory: [Serve a bundle](../how-to/follow-a-bundle.md), [Fleet](fleet.md).", []string{"source."}},
	{"Listening and callers", "Addresses, TLS, tokens, and bounds of connections:\n[TLS and tokens](../how-to/tls-and-tokens.md), [Set limits](../how-to/limits.md).", []string{"gateway."}},
	{"Watching", "How a change of the files is noticed: [Watching](../explanation/watching.md).", []string{"watch."}},
	{"Loading and deciding", "Bounds of what is loaded and decided.", []string{"engine."}},
	{"AuthZEN and Envoy", "Two more ways to ask: [AuthZEN](api/decisions.md#authzen), [Envoy](../how-to/envoy.md).", []string{"authzen.", "ext_authz."}},
	{"The guardrail", "What [clients of the original gateway](api/original.md#settings-of-the-guardrail) read, and who is asked.", []string{"guardrail."}},
	{"The access log", "A line for each request: [The access log](../how-to/operate.md#the-access-log).", []string{"access_log."}},
	{"The decision log", "An event for each decision: [Decision log](decision-log.md).", []string{"decision_logs."}},
	{"Recorded decisions", "What is kept to try changes on: [Record decisions](../how-to/record-decisions.md).", []string{"record."}},
	{"Audit and history", "How much is kept of what was done, and of what served: [Audit](audit.md#retention).", []string{"audit.", "history."}},
	{"Changes", "What becomes of a change before and after it serves: [Have changes reviewed](../how-to/hold-changes.md).", []string{"safety."}},
	{"Signatures", "Whose files serve: [Serve only signed policy](../how-to/sign-policy.md).", []string{"signature."}},
	{"The judge", "A language model as one of the guardrail's scanners: [Judge](../how-to/judge.md).", []string{"judge."}},
	{
		"The original gateway's judge", "Keys of the original gateway, for a judge without `judge.base_url`:\n" +
			"[Judge](../how-to/judge.md#the-original-gateways-settings).", []string{"guardrail.judge.", "llm."},
	},
	{"The log", "What the sidecar writes to standard error.", []string{"log."}},
}

// sectionOf returns the index of the section of a key.
func sectionOf(key string) (section int, ok bool) {
	longest := -1
	for i, s := range documentSections {
		for _, prefix := range s.prefixes {
			if (key == prefix || strings.HasSuffix(prefix, ".") && strings.HasPrefix(key, prefix)) && len(prefix) > longest {
				section, longest = i, len(prefix)
			}
		}
	}
	return section, longest >= 0
}

func TestTheDocumentIsWhatTheTableSays(t *testing.T) {
	const path = "../../../docs/reference/configuration.md"
	rows := make([]strings.Builder, len(documentSections))
	for _, s := range settings.Table() {
		section, ok := sectionOf(s.Key)
		if !ok {
			t.Errorf("documentSections has no section for %s", s.Key)
		}
		documentRow(&rows[section], s)
	}
	var b strings.Builder
	b.WriteString(documentHead)
	for i, section := range documentSections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| setting | takes | default | in force | |\n|---|---|---|---|---|\n%s", section.title, section.about, rows[i].String())
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != b.String() {
		t.Errorf("docs/reference/configuration.md is not what the table says: run make docs (%v)", err)
	}
}

const documentHead = `# Settings

A setting is given by a flag, by a variable of the environment, or by a key of ` + "`config.yaml`" + ` in the data directory.
A flag goes before a variable, and that before the key. Relative paths in ` + "`config.yaml`" + ` are relative to its directory.
A duration is written as ` + "`90s`, `5m` or `1h30m`" + `, a size in bytes. Lists may have commas, or be YAML's lists in
` + "`config.yaml`" + `.

The sidecar reads ` + "`config.yaml`" + ` again when it changes. "In force" says when a change of the key counts:
*at once*, *after a restart* of the sidecar, or for the *next command*, which reads it itself.
[Change settings](../how-to/change-settings.md#change-configyaml-while-it-runs) has the rest.
` + "`config show`" + ` prints what is in force, and where each is from.

Written by ` + "`make docs`" + ` from the table of settings.
`

// documentRow writes the row of a setting.
func documentRow(b *strings.Builder, s settings.Setting) {
	flag := s.Flag
	if flag != "" {
		flag = "--" + flag
	}
	names := slices.DeleteFunc([]string{s.Key, flag, s.Env}, func(name string) bool { return name == "" })
	value := ""
	if s.Default != "" {
		value = "`" + s.Default + "`"
	}
	applies := map[settings.Applies]string{settings.AtOnce: "at once", settings.AfterRestart: "after a restart", settings.NextCommand: "next command"}[s.Applies]
	if s.Key == "" {
		applies = "" // it cannot be set in config.yaml
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", strings.Join(names, "`<br>`"), s.Takes(), value, applies, strings.ReplaceAll(s.Help, "`", ""))
}

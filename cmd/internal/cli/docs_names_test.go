package cli

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"
)

// namesLikeKeys begin as keys of config.yaml do, and are fields of GET /policy/status, data of the default pack, or a metric of Envoy's.
var namesLikeKeys = []string{
	"source.channel", "source.channel.error", "source.age_seconds", "source.stale.now", "watch.events_dropped",
	"guardrail.block_threshold", "guardrail.severity_rank", "guardrail.cisco_trust_level", "audit.retention_days", "audit.log_all_actions",
	"ext_authz.error",
}

func TestTheDocumentsNameKeysThatExist(t *testing.T) {
	var keys, sections []string
	for _, s := range settings.Table() {
		keys = append(keys, s.Key)
		if section, _, nested := strings.Cut(s.Key, "."); nested {
			sections = append(sections, section)
		}
	}
	files := []string{".json", ".jsonl", ".lock", ".db", ".log"}
	for _, m := range regexp.MustCompile("`(([a-z_]+)(?:\\.[a-z_]+)+)`").FindAllStringSubmatch(readDocs(t), -1) {
		name := m[1]
		if !slices.Contains(sections, m[2]) || slices.Contains(namesLikeKeys, name) || slices.Contains(files, path.Ext(name)) {
			continue
		}
		if !slices.ContainsFunc(keys, func(key string) bool { return key == name || strings.HasPrefix(key, name+".") }) {
			t.Errorf("the documents mention the key %s of config.yaml, which does not exist", name)
		}
	}
}

// The table of docs/reference/metrics.md is written from the program; the other documents name what it has.
func TestTheDocumentsNameMetricsThatExist(t *testing.T) {
	page, err := os.ReadFile("../../../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(defenseclaw_[a-z_]+)`").FindAllStringSubmatch(string(page), -1) {
		known = append(known, m[1])
	}
	if len(known) < 30 {
		t.Fatalf("docs/reference/metrics.md has the metrics %q", known)
	}
	for _, name := range regexp.MustCompile(`\bdefenseclaw_[a-z_]+`).FindAllString(readDocs(t), -1) {
		if !slices.Contains(known, name) && !slices.Contains(known, regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")) {
			t.Errorf("the documents mention the metric %s, which does not exist", name)
		}
	}
}

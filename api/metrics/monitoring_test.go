package metrics

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// monitoring is the folder of the alerts and the dashboard that users copy.
const monitoring = "../../docs/monitoring"

type alert struct {
	Name        string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	readYAML(t, "alerts.yaml", &file)
	if len(file.Groups) != 1 || len(file.Groups[0].Rules) < 20 {
		t.Fatalf("these are not the alerts: %+v", file)
	}
	return file.Groups[0].Rules
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(monitoring, name))
	if err == nil {
		err = yaml.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// queries are the expressions of the dashboard, by what shows them.
func queries(t *testing.T) map[string]string {
	t.Helper()
	type target struct {
		Expr string `json:"expr"`
	}
	var board struct {
		Panels []struct {
			Title   string   `json:"title"`
			Type    string   `json:"type"`
			Targets []target `json:"targets"`
		} `json:"panels"`
		Annotations struct {
			List []struct {
				Name string `json:"name"`
				Expr string `json:"expr"`
			} `json:"list"`
		} `json:"annotations"`
	}
	b, err := os.ReadFile(filepath.Join(monitoring, "dashboard.json"))
	if err == nil {
		err = json.Unmarshal(b, &board)
	}
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, p := range board.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %q asks for nothing", p.Title)
		}
		for i, one := range p.Targets {
			all[p.Title+" "+string(rune('A'+i))] = one.Expr
		}
	}
	for _, a := range board.Annotations.List {
		all[a.Name] = a.Expr
	}
	return all
}

var (
	namedSeries = regexp.MustCompile(`\b((?:defenseclaw|process|go)_\w+)(?:\{([^}]*)\})?`)
	matcher     = regexp.MustCompile(`(\w+)(=~|!~|!=|=)"([^"]*)"`)
)

// Every series that an alert or the dashboard asks for is in a scrape of a sidecar that has just begun.
func TestAlertsAndDashboardUseExistingSeries(t *testing.T) {
	asked := queries(t)
	for _, a := range alerts(t) {
		asked[a.Name] = a.Expr
	}
	body, _ := scrape(t, create(t, Config{Routes: []string{"/policy/reload"}}), "")
	n := 0
	for where, expr := range asked {
		for _, s := range namedSeries.FindAllStringSubmatch(expr, -1) {
			n++
			if !slices.ContainsFunc(strings.Split(body, "\n"), func(line string) bool { return shows(line, s[1], s[2]) }) {
				t.Errorf("%s: no series %s{%s}", where, s[1], s[2])
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d series are asked for", n)
	}
}

// shows reports whether a line of a scrape is a series that the selector may choose. The labels that a scraper adds count
// as there.
func shows(line, name, selector string) bool {
	if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
		return false
	}
	for _, m := range matcher.FindAllStringSubmatch(selector, -1) {
		label, operator, value := m[1], m[2], m[3]
		if label == "job" || label == "instance" {
			continue
		}
		found := regexp.MustCompile(`[{,]` + label + `="([^"]*)"`).FindStringSubmatch(line)
		if found == nil || operator == "=" && found[1] != value {
			return false
		}
	}
	return true
}

// Each alert says how bad it is, and where to read what to do, and that place is there.
func TestAlertsLeadToWhatToDo(t *testing.T) {
	names := map[string]bool{}
	for _, a := range alerts(t) {
		if names[a.Name] || !strings.HasPrefix(a.Name, "DefenseClaw") {
			t.Errorf("%q is there twice, or has a name of another kind", a.Name)
		}
		names[a.Name] = true
		if !slices.Contains([]string{"info", "warning", "critical"}, a.Labels["severity"]) || a.Annotations["summary"] == "" {
			t.Errorf("%s has the severity %q and the summary %q", a.Name, a.Labels["severity"], a.Annotations["summary"])
		}
		file, anchor, _ := strings.Cut(a.Annotations["runbook"], "#")
		b, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Errorf("%s: %v", a.Name, err)
			continue
		}
		if anchor != "" && !slices.Contains(anchors(string(b)), anchor) {
			t.Errorf("%s: %s has no section #%s, but %q", a.Name, file, anchor, anchors(string(b)))
		}
	}
}

// anchors are the names by which the headings of a document can be linked to.
func anchors(document string) (all []string) {
	seen := map[string]int{}
	for line := range strings.Lines(document) {
		heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !ok || !strings.HasPrefix(line, "#") {
			continue
		}
		anchor := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(heading)), " ", "-")
		anchor = regexp.MustCompile(`[^\pL\pN_-]`).ReplaceAllString(anchor, "")
		if n := seen[anchor]; n > 0 {
			all = append(all, anchor+"-"+string(rune('0'+n)))
		} else {
			all = append(all, anchor)
		}
		seen[anchor]++
	}
	return all
}

// Each alert has a test in which it fires and one in which it does not, and Prometheus's own tool runs them.
func TestAlertsFireWhereTheyShould(t *testing.T) {
	var file struct {
		Tests []struct {
			Cases []struct {
				Name string `yaml:"alertname"`
				Want []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	readYAML(t, "alerts_test.yaml", &file)
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, one := range file.Tests {
		for _, c := range one.Cases {
			if len(c.Want) > 0 {
				fires[c.Name] = true
			} else {
				quiet[c.Name] = true
			}
		}
	}
	for _, a := range alerts(t) {
		if !fires[a.Name] || !quiet[a.Name] {
			t.Errorf("%s: alerts_test.yaml has it fire: %t, and not fire: %t", a.Name, fires[a.Name], quiet[a.Name])
		}
	}
	promtool(t, "test", "rules", filepath.Join(monitoring, "alerts_test.yaml"))
}

// Prometheus understands every query of the dashboard, with Grafana's variables filled in.
func TestTheDashboardIsUnderstood(t *testing.T) {
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	fill := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*")
	var rules []rule
	for _, expr := range queries(t) {
		rules = append(rules, rule{"dashboard:query", fill.Replace(expr)})
	}
	slices.SortFunc(rules, func(a, b rule) int { return strings.Compare(a.Expr, b.Expr) })
	rules = slices.Compact(rules)
	if i := slices.IndexFunc(rules, func(r rule) bool { return strings.Contains(r.Expr, "$") }); i >= 0 {
		t.Errorf("an unknown variable: %s", rules[i].Expr)
	}
	b, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", "--lint=none", file)
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("SKIPPED: Prometheus does not read these rules: there is no promtool on this machine")
	}
	if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

package cli

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"
)

// A comparedRow is a line of docs/reference/compared-with-opa.md.
type comparedRow struct{ feature, opa, here, more string }

func comparedRows(t *testing.T) (rows []comparedRow, page string) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/reference/compared-with-opa.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 3 || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| feature |") {
			continue
		}
		if len(cells) != 6 {
			t.Fatalf("%d cells, not 4: %s", len(cells)-2, line)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, comparedRow{cells[1], cells[2], cells[3], cells[4]})
	}
	return rows, string(text)
}

// TestTheComparisonCountsRight keeps the sentences above the table in step with it.
func TestTheComparisonCountsRight(t *testing.T) {
	rows, page := comparedRows(t)
	counts, features := map[string]int{}, map[string]bool{}
	for _, row := range rows {
		counts[row.more]++
		features[row.feature] = true
		if row.opa == "" || row.here == "" {
			t.Errorf("%s: a cell is empty", row.feature)
		}
	}
	if keys := slices.Sorted(maps.Keys(counts)); !slices.Equal(keys, []string{"opa", "same", "sidecar"}) {
		t.Errorf("who does more: %q", keys)
	}
	if len(rows) != 60 || len(features) != 60 {
		t.Errorf("%d rows with %d features", len(rows), len(features))
	}
	want := fmt.Sprintf("`opa` does more in %d rows, and the two do the same in %d.", counts["opa"], counts["same"])
	if !strings.Contains(strings.Join(strings.Fields(page), " "), want) {
		t.Errorf("the page does not say: %s", want)
	}
}

// TestWhatTheComparisonNamesExists looks up everything in the third column that a reader could type, ask for or scrape.
func TestWhatTheComparisonNamesExists(t *testing.T) {
	known := namesOfTheProgram(t)
	rows, _ := comparedRows(t)
	for _, row := range rows {
		found := 0
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row.here, -1) {
			switch is, err := known.has(m[1]); {
			case err != nil:
				t.Errorf("%s: %v", row.feature, err)
			case is:
				found++
			}
		}
		if found == 0 {
			t.Errorf("%s: nothing is named that can be looked up", row.feature)
		}
	}
}

// programNames are what the program understands, by the tables and documents that other tests hold to it.
type programNames struct {
	commands map[string]*cli.Command // by their full names
	flags    []string
	routes   map[string]map[string]any // of openapi.yaml: the path, the method
	targets  string                    // of make
	metrics  string
}

func namesOfTheProgram(t *testing.T) programNames {
	t.Helper()
	known := programNames{commands: map[string]*cli.Command{}}
	app := newApp()
	known.flags, _ = flagsOf(app.Commands, "")
	var add func(commands []*cli.Command, prefix string)
	add = func(commands []*cli.Command, prefix string) {
		for _, c := range commands {
			known.commands[prefix+c.Name] = c
			add(c.Subcommands, prefix+c.Name+" ")
		}
	}
	add(app.Commands, "")
	var document struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, "../../../api/openapi.yaml")), &document); err != nil {
		t.Fatal(err)
	}
	known.routes = document.Paths
	known.targets = readFile(t, "../../../Makefile")
	known.metrics = readFile(t, "../../../docs/reference/metrics.md")
	return known
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// notOurs are names in the table that are not the program's to know.
var notOurs = []string{"Retry-After", "oci://…", "system.authz", "restored", "root-missing", "config.yaml", "client", "http.send", "opa"}

// has reports whether a name can be looked up, and an error if it looks as if it could and is not there.
func (p programNames) has(name string) (bool, error) {
	words := strings.Fields(name)
	method, path, isRoute := strings.Cut(name, " /")
	switch {
	case slices.Contains(notOurs, name):
		return false, nil
	case strings.HasPrefix(name, "--"):
		if !slices.Contains(p.flags, strings.TrimLeft(words[0], "-")) {
			return false, fmt.Errorf("there is no flag %s", words[0])
		}
	case isRoute:
		if p.routes["/"+path][strings.ToLower(method)] == nil {
			return false, fmt.Errorf("there is no route %s", name)
		}
	case words[0] == "make":
		if !strings.Contains(p.targets, "\n"+words[1]+":") {
			return false, fmt.Errorf("make has no target %s", words[1])
		}
	case strings.HasPrefix(name, "defenseclaw_"), strings.HasPrefix(name, "OTEL_"):
		if !strings.Contains(p.metrics, "`"+name+"`") {
			return false, fmt.Errorf("there is no metric or variable %s", name)
		}
	default:
		return true, p.hasCommand(words)
	}
	return true, nil
}

// hasCommand looks up a command with its flags.
func (p programNames) hasCommand(words []string) error {
	words = slices.DeleteFunc(slices.Clone(words), func(word string) bool { return word == strings.ToUpper(word) }) // such as PATH
	n := slices.IndexFunc(words, func(word string) bool { return strings.HasPrefix(word, "-") })
	if n < 0 {
		n = len(words)
	}
	command := p.commands[strings.Join(words[:n], " ")]
	if command == nil {
		return fmt.Errorf("there is no command %s", strings.Join(words[:n], " "))
	}
	var flags []string
	for _, f := range command.Flags {
		flags = append(flags, f.Names()...)
	}
	for _, word := range words[n:] {
		if !slices.Contains(flags, strings.TrimLeft(word, "-")) {
			return fmt.Errorf("%s has no flag %s", command.FullName(), word)
		}
	}
	return nil
}

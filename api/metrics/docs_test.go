package metrics

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const document = "../../docs/reference/metrics.md"

var update = flag.Bool("update", false, "write the table of docs/reference/metrics.md")

// documentRow is the row of the document for an instrument.
func documentRow(t *testing.T, row instrument) string {
	kinds := map[kind]string{counter: "counter", observedCounter: "counter", gauge: "gauge", histogram: "histogram"}
	unit := row.unit
	if unit == "" {
		unit = "–"
	}
	var keys []string
	declared := map[string][]string{}
	for _, product := range row.labels {
		for _, l := range product {
			if !slices.Contains(keys, l.key) {
				keys = append(keys, l.key)
			}
			for _, v := range l.values {
				if !slices.Contains(declared[l.key], v) {
					declared[l.key] = append(declared[l.key], v)
				}
			}
		}
	}
	var labels []string
	for _, key := range keys {
		text := "`" + promLabel(key) + "`"
		if len(declared[key]) > 0 {
			text += ": " + strings.Join(declared[key], ", ")
		}
		labels = append(labels, text)
	}
	help := regexp.MustCompile(`docs/\S+\.md`).ReplaceAllStringFunc(row.help, func(page string) string {
		from, err := filepath.Rel("docs/reference", page)
		if err != nil {
			t.Fatal(err)
		}
		return "[" + page + "](" + filepath.ToSlash(from) + ")"
	})
	return fmt.Sprintf("| `%s` | `%s` %s | %s | %s | %s |\n",
		scrapedName(t, row), row.name, unit, kinds[row.kind], strings.Join(labels, "<br>"), help)
}

func TestTheDocumentIsTheTable(t *testing.T) {
	m := create(t, Config{})
	want := "| on `/metrics` | OpenTelemetry, unit | type | labels and their values | meaning |\n|---|---|---|---|---|\n"
	for _, row := range m.table() {
		want += documentRow(t, row)
	}
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(b), "<!-- table -->\n")
	got, tail, ended := strings.Cut(rest, "<!-- end of table -->")
	if !found || !ended {
		t.Fatalf("%s has no place for the table", document)
	}
	if *update {
		text := head + "<!-- table -->\n" + want + "<!-- end of table -->" + tail
		if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s is not what the table says; -update writes it. It should be:\n%s", document, want)
	}
}

// Every metric that the document names is in the table, except those that it says are not offered.
func TestTheDocumentNamesExistingMetricsOnly(t *testing.T) {
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	m := create(t, Config{})
	text, others, found := strings.Cut(string(b), "## Names of other systems")
	if !found {
		t.Fatal("the document no longer tells what is not offered")
	}
	var names []string
	for _, row := range m.table() {
		names = append(names, row.name)
	}
	for _, name := range regexp.MustCompile(`defenseclaw\.[a-z_.]+[a-z]`).FindAllString(text, -1) {
		if name != "defenseclaw.token" && !slices.Contains(names, name) {
			t.Errorf("%s is in the document and not in the table", name)
		}
	}
	for line := range strings.Lines(others) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			continue
		}
		for _, name := range regexp.MustCompile("`(defenseclaw\\.[a-z_.]+)`").FindAllStringSubmatch(cells[1], -1) {
			if slices.Contains(names, name[1]) {
				t.Errorf("%s is offered", name[1])
			}
		}
		for _, name := range regexp.MustCompile("`(defenseclaw\\.[a-z_.]+)`").FindAllStringSubmatch(cells[2], -1) {
			if !slices.Contains(names, name[1]) {
				t.Errorf("%s is not offered", name[1])
			}
		}
	}
}

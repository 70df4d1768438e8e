package cli

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tableRows returns the cells of the rows of a page's tables that have n columns, without their heads.
func tableRows(t *testing.T, page string, n int) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if strings.HasPrefix(line, "| ") && len(cells) == n {
			rows = append(rows, cells)
		}
	}
	return slices.DeleteFunc(rows, func(r []string) bool { return r[0] == "step" || r[0] == "word" })
}

func TestTheArchitectureNamesTheFileOfEachStep(t *testing.T) {
	rows := tableRows(t, "ARCHITECTURE.md", 4)
	if len(rows) < 40 {
		t.Fatalf("%d steps; want those of one edit and one decision", len(rows))
	}
	for _, row := range rows {
		var code strings.Builder
		files := strings.Split(row[2], ", ")
		for _, file := range files {
			if !strings.Contains(file, "/") {
				file = path.Join(path.Dir(files[0]), file)
			}
			source, err := os.ReadFile("../../../" + file)
			if err != nil {
				t.Fatalf("%s: %v", row[0], err)
			}
			code.Write(source)
		}
		for _, m := range regexp.MustCompile("`([A-Za-z]+\\.)?([A-Za-z]+)`").FindAllStringSubmatch(row[1], -1) {
			receiver := `(\([^)]*\) )?`
			if m[1] != "" {
				receiver = `\([^)]*\b` + strings.TrimSuffix(m[1], ".") + `\) `
			}
			declared := `(?m)^(func ` + receiver + `|type |var |const )` + m[2] + `\b`
			if !regexp.MustCompile(declared).MatchString(code.String()) {
				t.Errorf("%s: %s%s is not declared in %s", row[0], m[1], m[2], row[2])
			}
		}
	}
}

func TestTheGlossaryIsSortedAndNamesFilesThatExist(t *testing.T) {
	rows := tableRows(t, "reference/glossary.md", 3)
	if len(rows) < 30 {
		t.Fatalf("%d words", len(rows))
	}
	if !slices.IsSortedFunc(rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) }) {
		t.Error("the words are not in alphabetical order")
	}
	for _, row := range rows {
		if _, err := os.Stat("../../../" + strings.Trim(row[2], "`")); err != nil {
			t.Errorf("%s: %v", row[0], err)
		}
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"
)

// A report holds all results.
type report struct {
	Began         time.Time         `json:"began"`
	Took          string            `json:"took"`
	OS            string            `json:"os"`
	Arch          string            `json:"arch"`
	CPUs          int               `json:"cpus"`
	Machine       string            `json:"machine"` // its processor and memory, where the system says
	Versions      map[string]string `json:"versions"`
	Rows          []row             `json:"rows"`
	Agreed        int               `json:"answers_compared"`
	Disagreements []string          `json:"disagreements"` // the questions that the programs answered differently
	Failed        int               `json:"failed_decisions"`
	Failures      []string          `json:"failures"` // the last one of each session
}

// A row is one measure on one corpus.
type row struct {
	Measure      string             `json:"measure"`
	Corpus       string             `json:"corpus"`
	InputBytes   int                `json:"input_bytes,omitempty"`
	Unit         string             `json:"unit"`
	MoreIsBetter bool               `json:"more_is_better"`
	Programs     map[string]summary `json:"programs"`
	Best         string             `json:"best_opa,omitempty"` // the opa settings that Ratio compares with
	Ratio        *float64           `json:"ratio,omitempty"`    // the sidecar's median divided by opa's
	Note         string             `json:"note,omitempty"`
}

// add sets Best and Ratio of a row and appends it.
func (r *report) add(w row) {
	for name, s := range w.Programs {
		if name == sidecarName || s.Count == 0 {
			continue
		}
		best, found := w.Programs[w.Best]
		if !found || (s.Median < best.Median) != w.MoreIsBetter {
			w.Best = name
		}
	}
	ours, opa := w.Programs[sidecarName], w.Programs[w.Best]
	if ours.Count > 0 && opa.Count > 0 && opa.Median != 0 {
		ratio := ours.Median / opa.Median
		w.Ratio = &ratio
	}
	r.Rows = append(r.Rows, w)
}

// table writes the rows as a Markdown table with aligned columns.
func (r *report) table(w io.Writer) {
	began := r.Began.UTC().Format(time.DateTime + " MST")
	fmt.Fprintf(w, "%s, %s/%s, %d CPUs%s, took %s\n", began, r.OS, r.Arch, r.CPUs, withComma(r.Machine), r.Took)
	for _, name := range []string{opaName, sidecarName} {
		fmt.Fprintf(w, "%s: %s\n", name, r.Versions[name])
	}
	r.measureTable(w)
	r.decideTable(w)
	for _, row := range r.Rows {
		if row.Note != "" {
			fmt.Fprintf(w, "%s, %s: %s.\n", row.Measure, row.Corpus, row.Note)
		}
	}
	fmt.Fprintf(w, "Answers compared: %d. Different: %d. Decisions that failed during edits: %d.\n",
		r.Agreed, len(r.Disagreements), r.Failed)
	for _, text := range append(r.Disagreements, r.Failures...) {
		fmt.Fprintf(w, "  %s\n", text)
	}
}

// measureTable has a line for each row but those of decide.
func (r *report) measureTable(w io.Writer) {
	rows := slices.DeleteFunc(slices.Clone(r.Rows), func(w row) bool { return strings.HasPrefix(w.Measure, decidePrefix) })
	if len(rows) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| measure\t| corpus\t| opa\t| defenseclaw\t| ratio\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|")
	for _, row := range rows {
		ratio := "–"
		if row.Ratio != nil {
			ratio = ratioText(*row.Ratio)
		}
		opa := cell(row.Programs[row.Best], row.Unit)
		if row.Best != "" && row.Best != opaName {
			opa += ", " + strings.TrimPrefix(row.Best, opaName+" ")
		}
		if row.Best == "" {
			opa = cell(row.Programs[opaName], row.Unit)
		}
		ours := cell(row.Programs[sidecarName], row.Unit)
		fmt.Fprintf(t, "| %s\t| %s\t| %s\t| %s\t| %s\t|\n", row.Measure, row.Corpus, opa, ours, ratio)
	}
	_ = t.Flush()
	fmt.Fprintf(w, "\nMedian [lower quartile, upper quartile] ×count. ratio: defenseclaw / opa.\n")
}

func cell(s summary, unit string) string {
	if s.Count == 0 && s.NeverLive == 0 {
		return "–"
	}
	var text string
	if s.Count > 0 {
		text = number(s.Median) + " " + unit
	}
	if s.Count > 1 {
		text = fmt.Sprintf("%s [%s, %s] ×%d", strings.TrimSpace(text), number(s.Q1), number(s.Q3), s.Count)
	}
	if s.NeverLive > 0 {
		text += fmt.Sprintf(" %d never live", s.NeverLive)
	}
	return strings.TrimSpace(text)
}

// number formats f with three significant digits, at most two decimals, and all digits of the integer part in
// groups of three.
func number(f float64) string {
	digits := 0
	if f == math.Trunc(f) {
		return grouped(fmt.Sprintf("%.0f", f))
	}
	for limit := 100.0; digits < 3 && math.Abs(f) < limit; limit /= 10 {
		digits++
	}
	return grouped(fmt.Sprintf("%.*f", min(digits, 2), f))
}

func grouped(text string) string {
	whole, rest, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	return whole
}

func ratioText(f float64) string {
	if f >= 1 || f <= 0 {
		return number(f)
	}
	if f > 0.1 {
		return fmt.Sprintf("%.2f", f)
	}
	return fmt.Sprintf("%.2g (1/%s)", f, number(math.Round(1/f)))
}

// writeJSON writes the report, with all samples.
func (r *report) writeJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644) //nolint:gosec // others may read the results
}

func newReport() *report {
	return &report{
		Began: time.Now(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Machine: machine(),
		Versions: map[string]string{}, Disagreements: []string{}, Failures: []string{},
	}
}

func withComma(text string) string {
	if text == "" {
		return ""
	}
	return ", " + text
}

// machine returns the model of the processor and the memory; empty where there is no /proc.
func machine() string {
	var parts []string
	for _, field := range []struct{ file, name string }{{"/proc/cpuinfo", "model name"}, {"/proc/meminfo", "MemTotal"}} {
		text, _ := os.ReadFile(field.file)
		for line := range strings.Lines(string(text)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == field.name {
				parts = append(parts, strings.TrimSpace(value))
				break
			}
		}
	}
	return strings.Join(parts, ", ")
}

// oneLine joins the lines of a text and shortens it to 300 characters.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) > 300 {
		text = string([]rune(text)[:300]) + "…"
	}
	return text
}

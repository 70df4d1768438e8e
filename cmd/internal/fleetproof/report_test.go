package fleetproof_test

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// report is what was measured.
type report struct {
	Began   time.Time `json:"began"`
	Took    string    `json:"took"`
	OS      string    `json:"os"`
	Arch    string    `json:"arch"`
	CPUs    int       `json:"cpus"`
	Machine string    `json:"machine"`
	Load    string    `json:"load"` // of the last minute when it began
	Broker  string    `json:"broker"`
	Command string    `json:"command"`
	Rows    []*row    `json:"rows"`
}

// row is one measure, by the number of agents.
type row struct {
	Measure string            `json:"measure"`
	Unit    string            `json:"unit,omitempty"`
	Values  map[int][]float64 `json:"values"`
}

func newReport() *report {
	return &report{
		Began: time.Now().UTC(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Broker: "nats-server " + server.VERSION,
		Machine: firstOf("/proc/cpuinfo", "model name"), Load: strings.Fields(textOf("/proc/loadavg") + " ?")[0], Command: fmt.Sprintf("make bench-fleet SIZES=%s MODULES=%d", *sizes, *modules),
	}
}

func textOf(file string) string {
	text, _ := os.ReadFile(file)
	return string(text)
}

func firstOf(file, name string) string {
	for line := range strings.Lines(textOf(file)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (r *report) add(measure, unit string, agents int, values ...float64) {
	i := slices.IndexFunc(r.Rows, func(w *row) bool { return w.Measure == measure })
	if i < 0 {
		i = len(r.Rows)
		r.Rows = append(r.Rows, &row{measure, unit, map[int][]float64{}})
	}
	r.Rows[i].Values[agents] = append(r.Rows[i].Values[agents], values...)
}

// finish prints the table, and writes the file that -json names.
func (r *report) finish(t *testing.T) {
	t.Helper()
	r.Took = time.Since(r.Began).Round(time.Second).String()
	t.Log("\n" + r.table())
	if *jsonFile == "" {
		return
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.WriteFile(*jsonFile, append(text, '\n'), 0o600)
	}
	if err != nil {
		t.Error(err)
	}
}

// table is the rows in Markdown.
func (r *report) table() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s, %s/%s, %d CPUs, %s, load %s, %s, took %s: %s\n\n", r.Began.Format(time.DateTime+" MST"), r.OS, r.Arch, r.CPUs, r.Machine, r.Load,
		r.Broker, r.Took, r.Command)
	var columns []int
	for _, w := range r.Rows {
		for n := range w.Values {
			if !slices.Contains(columns, n) {
				columns = append(columns, n)
			}
		}
	}
	slices.Sort(columns)
	t := tabwriter.NewWriter(&out, 0, 0, 1, ' ', 0)
	fmt.Fprint(t, "| measure\t")
	for _, n := range columns {
		if n == 1 {
			fmt.Fprintf(t, "| a sidecar, %d modules\t", *modules)
			continue
		}
		fmt.Fprintf(t, "| %d agents\t", n)
	}
	fmt.Fprintln(t, "|\n|---\t"+strings.Repeat("|---\t", len(columns))+"|")
	for _, w := range r.Rows {
		fmt.Fprintf(t, "| %s\t", strings.TrimSuffix(w.Measure+", "+w.Unit, ", "))
		for _, n := range columns {
			fmt.Fprintf(t, "| %s\t", cell(w.Values[n]))
		}
		fmt.Fprintln(t, "|")
	}
	_ = t.Flush()
	return out.String() + "\nMedian and worst ×count.\n"
}

func cell(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	sorted := slices.Sorted(slices.Values(values))
	text := number(sorted[len(sorted)/2])
	if len(sorted) > 1 {
		text += fmt.Sprintf(", %s ×%d", number(sorted[len(sorted)-1]), len(sorted))
	}
	return text
}

// number has three digits that mean something.
func number(v float64) string {
	switch {
	case v >= 100 || v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

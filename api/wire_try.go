package api

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"defenseclaw/engine/explain"
)

// TryRequest is the body of POST /policy/try.
type TryRequest struct {
	Path     string          `json:"path"`            // such as a/b/allow or data.a.b.allow
	Input    json.RawMessage `json:"input,omitempty"` // nil: none
	At       any             `json:"at,omitempty"`    // serving, candidate, disk, or a number or revision of the history; nil: serving
	Explain  bool            `json:"explain,omitempty"`
	Coverage bool            `json:"coverage,omitempty"`
	Source   bool            `json:"source,omitempty"` // with the text of the files that Coverage tells of
	Time     *time.Time      `json:"time,omitempty"`   // what the clock of the policy says; nil: now
}

// TryAnswer is the body of an answer of POST /policy/try.
type TryAnswer struct {
	Path       string          `json:"path"` // such as data.a.b.allow
	At         string          `json:"at"`
	Revision   string          `json:"revision"`
	Generation uint64          `json:"generation,omitempty"` // of what serves
	Defined    bool            `json:"defined"`
	Result     json.RawMessage `json:"result,omitempty"`
	Failed     string          `json:"failed,omitempty"` // what the policy does wrong, or that it takes too long: there is no result
	DurationUS float64         `json:"duration_us"`      // of OPA's evaluator, on a query that is ready

	Explanation     []TryReason         `json:"explanation,omitempty"` // in the order of evaluation
	MoreExplanation bool                `json:"more_explanation,omitempty"`
	Coverage        map[string]TryLines `json:"coverage,omitempty"` // of the files that were reached
	Incomplete      string              `json:"incomplete,omitempty"`
	Source          map[string]string   `json:"source,omitempty"` // files by name, as far as there is room for them

	Printed     []TryPrinted `json:"printed,omitempty"` // by print() in the policy, once
	MorePrinted int          `json:"more_printed,omitempty"`
}

// TryPrinted is what one call of print() wrote.
type TryPrinted struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"` // the beginning of a long one
}

// TryReason is what became of one rule or condition.
type TryReason struct {
	Kind   string     `json:"kind"` // fired, default or failed
	Rule   string     `json:"rule,omitempty"`
	File   string     `json:"file"`
	Line   int        `json:"line"`
	Text   string     `json:"text"`
	Values []TryValue `json:"values,omitempty"` // that a condition names
}

// TryValue is one of a condition's.
type TryValue struct {
	Name      string `json:"name"`
	Value     string `json:"value,omitempty"` // as Rego writes it, shortened
	Undefined bool   `json:"undefined,omitempty"`
}

// TryLines are lines of a file, as "3" or "5-7".
type TryLines struct {
	Covered []string `json:"covered"`
	// Excluded were reached and false, as the rule index found without evaluating them: see [explain.Lines].
	Excluded []string `json:"excluded,omitempty"`
	Skipped  []string `json:"skipped,omitempty"` // the decision needs not evaluate them: see [explain.Lines]
	Missed   []string `json:"missed"`
}

// DocumentsAnswer is the body of GET /policy/try: what there is to try.
type DocumentsAnswer struct {
	At        string     `json:"at"`
	Revision  string     `json:"revision"`
	Documents []Document `json:"documents"` // entrypoints first
	More      int        `json:"more,omitempty"`
}

// Document is a rule or a package that can be evaluated.
type Document struct {
	Path       string `json:"path"` // such as a/b/allow
	Package    string `json:"package"`
	Entrypoint bool   `json:"entrypoint,omitempty"`
	Whole      bool   `json:"whole,omitempty"` // it is the package
}

func (a *TryAnswer) add(found explain.Answer) {
	a.Defined, a.Result = found.Defined, found.Result
	a.DurationUS = math.Round(float64(found.Took)/float64(time.Microsecond)*10) / 10
	a.MoreExplanation, a.Incomplete = found.MoreReasons, found.Incomplete
	if found.Failed != nil {
		a.Failed = found.Failed.Error()
	}
	for _, r := range found.Reasons {
		reason := TryReason{Kind: string(r.Kind), Rule: r.Rule, File: r.File, Line: r.Line, Text: r.Text}
		for _, v := range r.Values {
			reason.Values = append(reason.Values, TryValue{Name: v.Name, Value: v.Text, Undefined: v.Text == ""})
		}
		a.Explanation = append(a.Explanation, reason)
	}
	for file, l := range found.Lines {
		if a.Coverage == nil {
			a.Coverage = map[string]TryLines{}
		}
		a.Coverage[file] = TryLines{Covered: spans(l.Covered), Excluded: spans(l.Excluded), Skipped: spans(l.Skipped), Missed: spans(l.Missed)}
	}
}

// spans writes ascending lines as "3" or "5-7"; never nil.
func spans(lines []int) []string {
	all := []string{}
	for i := 0; i < len(lines); {
		first, last := lines[i], lines[i]
		for i++; i < len(lines) && lines[i] == last+1; i++ {
			last = lines[i]
		}
		if first == last {
			all = append(all, fmt.Sprint(first))
		} else {
			all = append(all, fmt.Sprintf("%d-%d", first, last))
		}
	}
	return all
}

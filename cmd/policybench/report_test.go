package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNumberFormats(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 10: "10", 0.5: "0.50", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234.5: "1,234", 5000: "5,000",
		1234567: "1,234,567", -1234: "-1,234", -123: "-123",
	} {
		if got := number(f); got != want {
			t.Errorf("%g is formatted as %s, want %s", f, got, want)
		}
	}
	for f, want := range map[float64]string{0.5: "0.50", 0.02: "0.02 (1/50)", 1.84: "1.84", 0.001: "0.001 (1/1,000)"} {
		if got := ratioText(f); got != want {
			t.Errorf("the ratio %g is formatted as %s, want %s", f, got, want)
		}
	}
}

func TestRatioUsesTheBestOPA(t *testing.T) {
	one := func(f float64) summary { return summarise([]float64{f}) }
	for _, c := range []struct {
		moreIsBetter bool
		best         string
		ratio        float64
	}{{moreIsBetter: true, best: "opa fast", ratio: 2}, {moreIsBetter: false, best: opaName, ratio: 4}} {
		r := newReport()
		r.add(row{MoreIsBetter: c.moreIsBetter, Programs: map[string]summary{
			opaName: one(100), "opa fast": one(200), "opa broken": {}, sidecarName: one(400),
		}})
		if got := r.Rows[0]; got.Best != c.best || got.Ratio == nil || *got.Ratio != c.ratio {
			t.Errorf("%+v, want %+v", got, c)
		}
	}
}

func TestRowOfOneProgramHasNoRatio(t *testing.T) {
	r := newReport()
	r.add(row{Measure: "alone", Unit: "ms", Programs: map[string]summary{
		sidecarName: summarise([]float64{1, 2, 3}),
	}})
	r.add(row{Measure: "lost", Unit: "ms", Programs: map[string]summary{
		opaName: {NeverLive: 2}, sidecarName: summarise([]float64{5}),
	}})
	var out strings.Builder
	r.table(&out)
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{"| alone | | – | 2 ms [1.50, 2.50] ×3 | – |", "| lost | | 2 never live | 5 ms | – |"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table has no %q:\n%s", want, out.String())
		}
	}
}

func TestADecisionHasALineWithItsNoise(t *testing.T) {
	r := newReport()
	r.add(row{Measure: decideTime, Corpus: "rbac, small", InputBytes: 1200, Programs: map[string]summary{
		opaName: summarise([]float64{400, 440}), "opa fast": summarise([]float64{200}), sidecarName: summarise([]float64{45, 50, 55}),
	}})
	r.add(row{Measure: decideRate, Corpus: "rbac, small", MoreIsBetter: true, Programs: map[string]summary{sidecarName: summarise([]float64{7})}})
	var out strings.Builder
	r.table(&out)
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{"| rbac, small | 1,200 | 200 → 50 ±10 % (0.25) | 7 | – | – | – |", "rbac, small: opa fast.", "At most a quarter of the best opa's processor time in 1 of 1 cases."} {
		if !strings.Contains(text, want) {
			t.Errorf("the table has no %q:\n%s", want, out.String())
		}
	}
}

func TestJSONHasAllSamples(t *testing.T) {
	r := newReport()
	r.add(row{Measure: "m", Programs: map[string]summary{sidecarName: summarise([]float64{3, 1, 2})}})
	path := filepath.Join(t.TempDir(), "report.json")
	if err := r.writeJSON(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back report
	err = json.Unmarshal(text, &back)
	if err != nil || len(back.Rows) != 1 || len(back.Rows[0].Programs[sidecarName].Samples) != 3 {
		t.Errorf("%v: %s", err, text)
	}
}

func TestVersionOf(t *testing.T) {
	const opa = "Version: 1.22.2\nBuild Commit: \nGo Version: go1.26.8\nPlatform: x\n"
	if got := versionOf(opa); got != "1.22.2, go1.26.8" {
		t.Error(got)
	}
	if got := versionOf("defenseclaw-gateway version v1\n"); got != "defenseclaw-gateway version v1" {
		t.Error(got)
	}
}

func TestInvalidOptionsAreRefused(t *testing.T) {
	for _, args := range []string{
		"-sizes x", "-sizes 0", "-data -3", "-only (", "-rounds 0", "-budget -1s", "stray", "-unknown",
	} {
		var out strings.Builder
		if code := run(t.Context(), strings.Fields(args), &out, &out); code != 2 {
			t.Errorf("%s: exit %d: %s", args, code, out.String())
		}
	}
	o, err := parseOptions([]string{"-sizes", "10, 20", "-data", "", "-full"}, &strings.Builder{})
	if err != nil || len(o.sizes) != 3 || len(o.data) != 1 || o.minRounds < 2 || o.edits < 1000 {
		t.Errorf("%+v, %v", o, err)
	}
}

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newestResults is the file of results of the newest day, whose plots are in docs/images.
func newestResults(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("../../docs/performance/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("docs/performance has no results: %v", err)
	}
	return files[len(files)-1] // Glob sorts, and names are dates
}

func TestThePlotsOfTheDocumentsAreOfTheResults(t *testing.T) {
	dir := t.TempDir()
	if code := runPlot([]string{newestResults(t), dir}, t.Output()); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	for _, p := range plots {
		made, err := os.ReadFile(filepath.Join(dir, p.file))
		if err != nil {
			t.Fatal(err)
		}
		kept, err := os.ReadFile(filepath.Join("../../docs/images", p.file))
		if err != nil {
			t.Fatal(err)
		}
		if string(made) != string(kept) {
			t.Errorf("docs/images/%s is not what the results in %s make: run make plots", p.file, newestResults(t))
		}
	}
}

func TestPlotsAreWellFormedAndDescribed(t *testing.T) {
	r, err := readResults(newestResults(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plots {
		picture, err := p.draw(r)
		if err != nil {
			t.Fatal(err)
		}
		elements := map[string]int{}
		for d := xml.NewDecoder(strings.NewReader(picture)); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", p.file, err)
			}
			if e, ok := token.(xml.StartElement); ok {
				elements[e.Name.Local]++
			}
		}
		if elements["title"] != 1 || elements["desc"] != 1 || elements["circle"] < 4 {
			t.Errorf("%s has the elements %v", p.file, elements)
		}
		if !strings.Contains(picture, "prefers-color-scheme: dark") {
			t.Errorf("%s has no dark colours", p.file)
		}
	}
}

func TestTheResultsNameNoPathOfTheirMachine(t *testing.T) {
	text, err := os.ReadFile(newestResults(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/tmp", "/home", "/work", "/root"} {
		if strings.Contains(string(text), path+"/") {
			t.Errorf("the results name a path below %s", path)
		}
	}
}

func TestResultsWithoutARowMakeNoPlot(t *testing.T) {
	for _, p := range plots {
		if picture, err := p.draw(results{}); err == nil {
			t.Errorf("%s is drawn of nothing: %d bytes", p.file, len(picture))
		}
	}
	if code := runPlot([]string{"one"}, io.Discard); code != 2 {
		t.Errorf("a missing directory is exit code %d", code)
	}
	if code := runPlot([]string{filepath.Join(t.TempDir(), "none.json"), t.TempDir()}, io.Discard); code != 1 {
		t.Errorf("a missing file is exit code %d", code)
	}
}

func TestALogarithmicScale(t *testing.T) {
	s := logScale{lo: 1, hi: 10_000, from: 100, to: 500}
	for v, want := range map[float64]float64{1: 100, 100: 300, 10_000: 500} {
		if got := s.at(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("%g is at %g, want %g", v, got, want)
		}
	}
	if got := powers([]float64{7.7, 3_300}); len(got) != 5 || math.Abs(got[0]-1) > 1e-9 || math.Abs(got[4]-10_000) > 1e-6 {
		t.Errorf("the powers around 7.7 and 3,300 are %v", got)
	}
	for v, want := range map[float64]string{7.66: "7.7 ms", 0.123: "0.12 ms", 10: "10 ms", 3_289: "3.3 s", 10_000: "10 s", 768: "768 ms"} {
		if got := ms(v); got != want {
			t.Errorf("%g ms is written %s, want %s", v, got, want)
		}
	}
}

func TestAPatternOfAMeasureStandsForDigits(t *testing.T) {
	for measure, want := range map[string]bool{
		"memory after 20 edits": true, "memory after 1,000 edits": true, "memory after edits": false,
		"peak memory after 20 edits": false, "memory after no edits": false,
	} {
		if got := matches("memory after * edits", measure); got != want {
			t.Errorf("%q matches: %v", measure, got)
		}
	}
}

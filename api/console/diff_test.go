package console

import (
	"strings"
	"testing"
)

// shown writes the two sides of a file beside each other.
func shown(f diffFile) string {
	var b strings.Builder
	for i := range f.Sides[0].Lines {
		for _, side := range f.Sides {
			l := side.Lines[i]
			if b.WriteString(l.Kind); l.Number > 0 {
				b.WriteString(" " + string(rune('0'+l.Number)))
			}
			b.WriteString("|" + l.Text + "|")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestADiffIsTwoSidesOfTheSameHeight(t *testing.T) {
	t.Parallel()
	const text = `--- a/p.rego
+++ b/p.rego
@@ -1,5 +1,4 @@
 package p

--- a comment of SQL
-x := 1
+x := 2
 y := 1
\ No newline at end of file
@@ -8 +7,2 @@
-z := 1
+++ z
+w := 1
--- /dev/null
+++ b/new.rego
@@ -0,0 +1,1 @@
+package new
--- a/big.json
+++ b/big.json
files of more than a megabyte are not compared line by line
`
	files := splitDiff(text, "1", "2")
	if len(files) != 3 {
		t.Fatalf("%d files: %+v", len(files), files)
	}
	for i, want := range []string{`at|lines 1 to 5|at|lines 1 to 4|
same 1|package p|same 1|package p|
same 2||same 2||
del 3|-- a comment of SQL|add 3|x := 2|
del 4|x := 1|none||
same 5|y := 1|same 4|y := 1|
at|line 8|at|lines 7 to 8|
del 8|z := 1|add 7|++ z|
none||add 8|w := 1|
`, "at|no lines|at|line 1|\nnone||add 1|package new|\n", ""} {
		if got := shown(files[i]); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", files[i].Name, got, want)
		}
	}
	if files[1].Name != "new.rego" || files[2].Name != "big.json" || !strings.Contains(files[2].Note, "megabyte") {
		t.Errorf("%+v", files[1:])
	}
	if files[0].Sides[0].Name != "Before: 1" || files[0].Sides[1].Name != "After: 2" {
		t.Errorf("%+v", files[0])
	}
}

func FuzzSplitDiff(f *testing.F) {
	f.Add("--- a/p.rego\n+++ b/p.rego\n@@ -1,2 +1,2 @@\n package p\n-x\n+y\n")
	f.Add("--- \n@@\n@@ -9999999999999999999,-1 +1 @@\n-\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, file := range splitDiff(text, "1", "2") {
			if a, b := len(file.Sides[0].Lines), len(file.Sides[1].Lines); a != b {
				t.Errorf("%d lines beside %d", a, b)
			}
		}
	})
}

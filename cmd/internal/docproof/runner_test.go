//go:build unix

package docproof

import (
	"strings"
	"testing"
)

// TestAPageThatIsWrongFails proves the proof.
func TestAPageThatIsWrongFails(t *testing.T) {
	needsBash(t)
	tests := []struct{ name, page, wrong string }{
		{"as it says", "```console\n$ echo a; echo b >&2\na\nb\n$ true\n```", ""},
		{"another output", "```console\n$ echo a\nb\n```", "the page shows\n    b\nand it prints\n    a"},
		{"less output", "```console\n$ printf 'a\\nb\\n'\na\n```", "it prints\n    a\n    b"},
		{"output that is not shown", "```console\n$ echo a\n```", "it prints\n    a"},
		{"a command that fails", "```console\n$ sh -c 'exit 3'\n```", "ends with 3, not with 0"},
		{"a failure that is said", "```console exit=3\n$ sh -c 'exit 3'\n```", ""},
		{"a failure that is shown", "```console\n$ sh -c 'exit 3'; echo \"exit $?\"\nexit 3\n```", ""},
		{"a failure that does not happen", "```console exit=3\n$ true\n```", "ends with 0, not with 3"},
		{"one of several fails", "```sh\ntrue\nfalse\ntrue\n```", "ends with 1"},
		{"a program that is missing", "```sh\nno-such-program\n```", "ends with 127"},
		{"a block is not run", "```sh no-run \"it takes a cluster\"\nfalse\n```", ""},
		{"what a shell keeps", "```sh\nx=1; mkdir d; cd d; f() { echo \"$x\"; }\n```\n\n```console\n$ f; basename \"$PWD\"\n1\nd\n```", ""},
		{"the fresh home", "```console\n$ ls ~; echo ~; pwd\ndefenseclaw\n/home/alice\n/home/alice/defenseclaw\n```", ""},
		{"a command of several lines", "```console\n$ cat <<'END'\n> a\n>\n> b\n> END\na\n\nb\n$ echo \\\n    c\nc\n```", ""},
		{"a file", "Save it as `x/a.txt`:\n\n```json file=x/a.txt\n{}\n```\n\n```console\n$ cat x/a.txt\n{}\n```", ""},
		{"a file that the text does not name", "Save it:\n\n```json file=a.txt\n{}\n```", "does not name a.txt"},
		{"in the background", "```console background\n$ sh -c 'echo a; sleep 100'\na\n```\n\n```console\n$ echo b\nb\n```", ""},
		{"another in the background", "```console background\n$ sh -c 'trap \"echo end >>log; exit 0\" TERM; echo a; until [ -e go ]; do sleep 0.01; done'\na\n```\n\n" +
			"```console background restart\n$ echo b\nb\n```\n\n```console\n$ cat log\nend\n```", ""},
		{"one that ends badly", "```console background\n$ sh -c 'trap \"exit 7\" TERM; echo a; until [ -e go ]; do sleep 0.01; done'\na\n```\n\n" +
			"```console background restart\n$ echo b\nb\n```", "what ran before it ends with 7"},
		{"what the background prints next", "```console background\n$ sh -c 'echo a; until [ -e go ]; do sleep 0.01; done; echo b; echo c; sleep 100'\na\n```\n\n" +
			"```sh\ntouch go\n```\n\n```text shows\nc\n```", ""},
		{"nothing is in the background", "```text shows\na\n```", "no command runs in the background"},
		{"until it is so", "```console background\n$ sh -c 'sleep 0.1; touch done'\n```\n\n```console eventually\n$ ls done\ndone\n```", ""},
		{"the port", "```console background\n$ sh -c 'echo p$DEFENSECLAW_API_PORT >port'\n```\n\n```console eventually\n" +
			"$ port=127.0.0.1:18970; [ p${port#*:} = $(cat port) ]\n```", ""},
		{"the program", "```console\n$ defenseclaw version | head -1; bin/defenseclaw-gateway version >/dev/null\ndefenseclaw …\n```", ""},
		{"a word that is none", "```sh no-runs \"x\"\nfalse\n```", "is none of no-run"},
		{"commands that do not say so", "```\n$ false\n```", "a block of commands says so"},
		{"a block that is open", "```sh\ntrue\n", "is not closed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			blocks, err := parsePage(test.page)
			if err == nil {
				err = open(t).read(blocks)
			}
			switch {
			case test.wrong == "" && err != nil:
				t.Error(err)
			case test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)):
				t.Errorf("%v does not contain %q", err, test.wrong)
			}
		})
	}
}

func TestWhatIsNotRunIsCounted(t *testing.T) {
	needsBash(t)
	r := open(t)
	blocks, err := parsePage("```sh no-run \"it takes a cluster\"\nfalse\n```\n\n```sh needs=bash,no-such-program\nfalse\n```\n\n```go\nfunc main() {}\n```\n\n```sh\ntrue\n```")
	if err == nil {
		err = r.read(blocks)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.ran != 1 || len(r.notRun) != 1 || !strings.Contains(r.notRun[0], "line 2: it takes a cluster") ||
		len(r.missing) != 1 || !strings.Contains(r.missing[0], "there is no no-such-program") {
		t.Errorf("%d ran, %q, %q", r.ran, r.notRun, r.missing)
	}
}

func TestWhatVariesMatches(t *testing.T) {
	tests := []struct {
		shown, printed string
		want           bool
	}{
		{"12:33:04.670  INFO  a  5 ms", "01:00:00.001 INFO a 123.4 ms\n", true},
		{"a … c", "a b c", true},
		{"a …", "b c", false},
		{"a\n…\nd", "a\nb\nc\nd\n", true},
		{"a\n…\nd", "a\nd", true},
		{"a\n…", "a\nb", true},
		{"…\na", "b\na\nc", false},
		{"revision sha256:5058ace2…", "revision sha256:49fa5ad07fc45c28a5b08b8805126943c82f1ddae4dcaf779944d43ee83f9b50", true},
		{"by watch (uid:1000 (ann)) at 2026-11-23 12:33:06, 39.2 ms", "by watch (uid:0 (root)) at 2027-01-01 00:00:00, 1 ms", true},
		{"http://127.0.0.1:18970", "http://127.0.0.1:20123", true},
		{"a.b", "axb", false},
		{"", "\n", true},
		{"generation 2", "generation 3", false},
		{"    indented", "\tindented", true},
	}
	for _, test := range tests {
		if got := matches(test.shown, test.printed); got != test.want {
			t.Errorf("%q beside %q: %v", test.shown, test.printed, got)
		}
	}
}

func FuzzPage(f *testing.F) {
	f.Add("```console exit=1\n$ a \\\n  b\nc\n```\n~~~sh\nx\n~~~\n")
	f.Add("   ```rego file=a\n   x\n   ```")
	f.Fuzz(func(t *testing.T, page string) {
		blocks, err := parsePage(page)
		if err != nil {
			return
		}
		for _, b := range blocks {
			for _, s := range b.steps {
				if s.line < b.line || strings.Contains(s.shown, "\n$ ") {
					t.Errorf("line %d of a block at %d, shown: %q", s.line, b.line, s.shown)
				}
				if !strings.Contains(s.shown, "…") && !matches(s.shown, s.shown) {
					t.Errorf("%q is not what it shows", s.shown)
				}
			}
		}
	})
}

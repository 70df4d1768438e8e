package cli

import (
	"slices"
	"strings"
	"testing"
)

func TestFlagsAndArgumentsGoInAnyOrder(t *testing.T) {
	for line, want := range map[string]string{
		"policy test dir -v --run x":                          "policy test -v --run x dir",
		"policy test dir --run=x -v":                          "policy test --run=x -v dir",
		"policy test -v dir":                                  "policy test -v dir",
		"policy test dir -run x":                              "policy test -run x dir",
		"policy test dir --run":                               "policy test --run",
		"policy test dir --nonsense":                          "policy test --nonsense dir",
		"policy test dir --help":                              "policy test --help dir",
		"policy test -- -v --run":                             "policy test -- -v --run",
		"policy test dir -- --run":                            "policy test -- dir --run",
		"policy fmt - --check":                                "policy fmt --check -",
		"policy try p/x -5 --json":                            "policy try --json -- p/x -5",
		"--log-level debug policy test dir -v":                "--log-level debug policy test -v dir",
		"policy nonsense dir --flag":                          "policy nonsense dir --flag",
		"policy test dir --r" + " --generate-bash-completion": "policy test dir --r --generate-bash-completion",
	} {
		args := append([]string{"defenseclaw"}, strings.Fields(line)...)
		if got := strings.Join(flagsFirst(newApp(), args)[1:], " "); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", line, got, want)
		}
	}
}

// FuzzFlagsFirst holds that nothing is added but --, that only a line without a flag's value loses words, and that a line in order stays.
func FuzzFlagsFirst(f *testing.F) {
	for _, line := range []string{"policy test dir -v --run x", "policy edit actions -- --file", "--data-dir x policy try - -5 --input=y", "policy fmt -- --", "-", "-= -"} {
		f.Add(line)
	}
	app := newApp()
	f.Fuzz(func(t *testing.T, line string) {
		args := append([]string{"defenseclaw"}, strings.Fields(line)...)
		once := flagsFirst(app, args)
		if twice := flagsFirst(app, once); !slices.Equal(once, twice) {
			t.Errorf("%q\nonce  %q\ntwice %q", args, once, twice)
		}
		for _, word := range once {
			if word != "--" && !slices.Contains(args, word) {
				t.Errorf("%q gains %q", args, word)
			}
		}
	})
}

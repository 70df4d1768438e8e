package attack_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// files are what who may write into the policy directory can do to the program by accident or on purpose. What
// serves goes on serving, whatever is there; and once it is removed, an edit serves again.
func files(r *rand.Rand) []try {
	var all []try
	add := func(name string, do func(v *victim) error) {
		all = append(all, try{name, func(v *victim) error { return v.undone(do) }})
	}
	write := func(name, text string) func(v *victim) error {
		return func(v *victim) error { return os.WriteFile(v.file(name), []byte(text), 0o600) }
	}
	add("twelve sparse files", func(v *victim) error {
		return sparse(v, 12, 500<<20, "data-%d.json")
	})
	add("twelve sparse modules", func(v *victim) error {
		return sparse(v, 12, 500<<20, "m%d.rego")
	})
	add("sparse files in folders", func(v *victim) error {
		for i := range 12 {
			if err := os.Mkdir(v.file(fmt.Sprintf("hostile%d", i)), 0o700); err != nil {
				return err
			}
		}
		return sparse(v, 12, 500<<20, "hostile%d/data.json")
	})
	add("a sparse file of a terabyte", func(v *victim) error { return sparse(v, 1, 1<<40, "data%d.yaml") })
	add("a pipe", func(v *victim) error { return makePipe(v.file("pipe.rego")) })
	add("a pipe for data", func(v *victim) error {
		if err := os.Mkdir(v.file("hostile"), 0o700); err != nil {
			return err
		}
		return makePipe(v.file("hostile/data.json"))
	})
	add("a link to endless zeros", func(v *victim) error { return os.Symlink("/dev/zero", v.file("zero.rego")) })
	add("a link to itself", func(v *victim) error { return os.Symlink("loop.rego", v.file("loop.rego")) })
	add("a link to the folder", func(v *victim) error { return os.Symlink(".", v.file("hostile")) })
	add("a link to the root", func(v *victim) error { return os.Symlink("/", v.file("hostile")) })
	add("a folder that is called like a module", func(v *victim) error { return os.Mkdir(v.file("hostile.rego"), 0o700) })
	add("300 folders in each other", func(v *victim) error {
		deep := v.file("hostile" + strings.Repeat("/d", 300))
		if err := os.MkdirAll(deep, 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(deep, "x.rego"), []byte("package x\n"), 0o600)
	})
	add("20,000 files", func(v *victim) error {
		if err := os.Mkdir(v.file("hostile"), 0o700); err != nil {
			return err
		}
		for i := range 20000 {
			if err := os.WriteFile(v.file(fmt.Sprintf("hostile/%d.rego", i)), nil, 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	add("names that are no text", func(v *victim) error {
		for _, name := range []string{"a\nb.rego", "\x1b[2J.rego", "\xff\xfe.rego", "\u202egro.rego", strings.Repeat("n", 250) + ".rego", "%2e%2e.rego", " .rego", "-rf.rego"} {
			if err := os.WriteFile(v.file(name), []byte("package hostile\n"), 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	add("deep brackets", write("deep.rego", "package hostile\nx := "+strings.Repeat("[", 100000)+strings.Repeat("]", 100000)))
	add("deep parentheses", write("deep.rego", "package hostile\nx := "+strings.Repeat("(", 100000)+"1"+strings.Repeat(")", 100000)))
	add("deep comprehensions", write("deep.rego", "package hostile\nx := "+strings.Repeat("[1|", 20000)+"1"+strings.Repeat("]", 20000)))
	add("a sum of 30,000", write("sum.rego", "package hostile\nx := 1"+strings.Repeat("+1", 30000)))
	add("a number of a million digits", write("digits.rego", "package hostile\nx := "+strings.Repeat("9", 1000000)))
	add("a number with a huge exponent", write("exponent.rego", "package hostile\nx if input.n == 1e1000000000\n"))
	add("5,000 errors", write("errors.rego", "package hostile\n"+strings.Repeat("x := y\n", 5000)))
	add("NULs", write("nul.rego", strings.Repeat("\x00", 1<<20)))
	add("deep data", write("data.json", strings.Repeat(`{"a":`, 100000)+"1"+strings.Repeat("}", 100000)))
	add("data of a million digits", write("data.json", `{"n":`+strings.Repeat("9", 1000000)+`}`))
	add("deep YAML", write("data.yaml", strings.Repeat("[", 100000)))
	add("aliases in YAML", write("data.yaml", "a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]"))
	add("aliases of a long text", write("data.yaml", "s: &a "+strings.Repeat("x", 200000)+"\nl: ["+strings.Repeat("*a, ", 20000)+"*a]"))
	add("data that is as large as may be, in small values", write("data.json", `{"a":[`+strings.Repeat("[],", 40<<20)+`[]]}`))
	add("data that is as large as may be, in small objects", write("data.json", `{"a":[`+strings.Repeat(`{"a":{}},`, 13<<20)+`{}]}`))
	add("data that is as large as may be, in texts", write("data.json", `{"a":[`+strings.Repeat(`"abc",`, 20<<20)+`1]}`))
	add("YAML that is as large as may be", write("data.yaml", "a:\n"+strings.Repeat("- []\n", 24<<20)))
	add("a module that is as large as may be", write("large.rego", "package hostile\nx := ["+strings.Repeat("[],", 2<<20)+"1]"))
	add("a module of as many rules as may be", write("large.rego", "package hostile\n"+strings.Repeat("x[1]\n", 1<<20)))
	add("a module of large rules", write("large.rego", "package hostile\nx if {\n"+strings.Repeat("a(1)\n", 1<<20)+"}\n"))
	add("an array that doubles, in a rule", write("double.rego", "package hostile\nx if {\n"+
		strings.ReplaceAll(doubled(40, func(x, y string) string { return y + " := [" + x + "," + x + "]" }, "x0 := [1]"), "; ", "\n")+"\n}"))
	add("an array that doubles, in rules", write("double.rego", "package hostile\n"+
		strings.ReplaceAll(doubled(40, func(x, y string) string { return y + " := [" + x + "," + x + "]" }, "x0 := [1]"), "; ", "\n")+"\n"))
	add("a module that changes all the time", func(v *victim) error {
		for i := range 500 {
			if err := os.WriteFile(v.file("busy.rego"), fmt.Appendf(nil, "package hostile\nx := %d\n%s", i, strings.Repeat("}", r.IntN(2))), 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	add("files that come and go", func(v *victim) error {
		for i := range 500 {
			name := v.file(fmt.Sprintf("%d.rego", i%7))
			if os.Remove(name) != nil {
				if err := os.WriteFile(name, []byte("package hostile\n"), 0o600); err != nil {
					return err
				}
			}
		}
		return nil
	})
	add("a directory that is swapped for a link and back", func(v *victim) error {
		hostile, moved := v.file("hostile"), v.file("moved")
		if err := os.Mkdir(hostile, 0o700); err != nil {
			return err
		}
		for range 200 {
			if err := errors.Join(os.Rename(hostile, moved), os.Symlink("/etc", hostile), os.Remove(hostile), os.Rename(moved, hostile)); err != nil {
				return err
			}
		}
		return nil
	})
	return all
}

func sparse(v *victim, n int, size int64, name string) error {
	for i := range n {
		path := v.file(strings.ReplaceAll(name, "%d", fmt.Sprint(i)))
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		err = errors.Join(f.Truncate(size), f.Close())
		if errors.Is(err, syscall.EFBIG) || errors.Is(err, syscall.EINVAL) {
			err = nil // this file system has no files of that size
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// undone does something to the policy directory, sees that a reload of it is answered and that decisions go on, then
// restores the directory, and sees that an edit serves.
func (v *victim) undone(do func(*victim) error) error {
	before, err := names(v.dir())
	if err != nil {
		return err
	}
	data, err := os.ReadFile(v.file("data.json"))
	if err != nil {
		return err
	}
	if err := do(v); err != nil {
		return fmt.Errorf("the attack itself: %w", err)
	}
	a, err := v.ask("POST", "/policy/reload", "")
	if err != nil && v.alive() {
		return fmt.Errorf("a reload is not answered: %w", err)
	}
	if err := v.held(); err != nil {
		return fmt.Errorf("after a reload (%v): %w", a, err)
	}
	after, err := names(v.dir())
	if err != nil {
		return err
	}
	for name := range after {
		if !before[name] {
			if err := os.RemoveAll(v.file(name)); err != nil {
				return err
			}
		}
	}
	v.write("data.json", string(data))
	if err := v.serves(fmt.Sprint(len(after))); err != nil {
		return fmt.Errorf("after it was removed: %w", err)
	}
	return v.becomes("current")
}

func names(dir string) (map[string]bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	all := make(map[string]bool, len(entries))
	for _, e := range entries {
		all[e.Name()] = true
	}
	return all, nil
}

package delta_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"defenseclaw/watcher/fleet/delta"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func setOf(files map[string]string) delta.Set {
	return delta.NewSet(func(yield func(string, []byte) bool) {
		for p, content := range files {
			if !yield(p, []byte(content)) {
				return
			}
		}
	})
}

func contents(s delta.Set) map[string]string {
	all := map[string]string{}
	for _, f := range s.Files() {
		all[f.Path] = string(f.Content)
	}
	return all
}

func TestAnyDeltaGivesWhatItIsTo(t *testing.T) {
	t.Parallel()
	line := rapid.StringMatching(`[a-z]{1,8} := [0-9]{1,3}\n`)
	content := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(line, 0, 400).Draw(t, "lines"), "")
	})
	files := rapid.MapOfN(rapid.SampledFrom([]string{"a.rego", "b.rego", "b/c.rego", "b/data.json", "z/z/z.rego"}), content, 0, 5)
	rapid.Check(t, func(t *rapid.T) {
		from, to := files.Draw(t, "from"), files.Draw(t, "to")
		for p, text := range from { // alike, so that patches are made
			if rapid.Bool().Draw(t, "alike") && len(text) > 0 {
				at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
				to[p] = text[:at] + "#" + text[at:]
			}
		}
		packed, err := delta.Make(setOf(from), setOf(to), "old", "new")
		if err != nil {
			t.Fatal(err)
		}
		got, change, name, err := delta.Apply(setOf(from), "old", packed, delta.Limits{})
		if err != nil || name != "new" {
			t.Fatal(name, err)
		}
		if !maps.Equal(contents(got), to) {
			t.Fatalf("got %q, want %q", contents(got), to)
		}
		if want := setOf(to).Since(setOf(from)).Paths(); !slices.Equal(change.Paths(), want) {
			t.Fatalf("changed %q, want %q", change.Paths(), want)
		}
	})
}

func TestAnEditOfALargeFileIsSmall(t *testing.T) {
	t.Parallel()
	rows := make([]string, 50_000)
	for i := range rows {
		rows[i] = strings.Repeat(string(rune('a'+i%26)), 1+i*i%37)
	}
	before := map[string]string{"data.json": strings.Join(rows, ",")}
	rows[20_000] = "another"
	after := map[string]string{"data.json": strings.Join(rows, ",")}
	packed, err := delta.Make(setOf(before), setOf(after), "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	if len(packed) > 4096 {
		t.Errorf("one row of %d bytes makes a delta of %d bytes", len(before["data.json"]), len(packed))
	}
}

func TestWhatCannotBeApplied(t *testing.T) {
	t.Parallel()
	old, now := map[string]string{"a.rego": "package a", "b.rego": "package b"}, map[string]string{"a.rego": strings.Repeat("x", 1000)}
	packed, err := delta.Make(setOf(old), setOf(now), "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	other := map[string]string{"a.rego": "package a"}
	for name, try := range map[string]struct {
		from   map[string]string
		named  string
		packed []byte
		limits delta.Limits
		is     error
	}{
		"another revision":   {old, "c", packed, delta.Limits{}, delta.ErrFrom},
		"other files":        {other, "a", packed, delta.Limits{}, nil},
		"too many bytes":     {old, "a", packed, delta.Limits{Bytes: 999}, delta.ErrLimits},
		"cut off":            {old, "a", packed[:len(packed)-5], delta.Limits{}, nil},
		"something else":     {old, "a", []byte("package a"), delta.Limits{}, nil},
		"nothing":            {old, "a", nil, delta.Limits{}, nil},
		"a bit that toggled": {old, "a", toggled(packed), delta.Limits{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, _, err := delta.Apply(setOf(try.from), try.named, try.packed, try.limits)
			if err == nil || try.is != nil && !errors.Is(err, try.is) {
				t.Errorf("it gives %v, and %v was expected", err, try.is)
			}
		})
	}
	if _, err := delta.Make(setOf(nil), setOf(map[string]string{"../x.rego": ""}), "", "a"); err == nil {
		t.Error("a path out of the policy can be sent")
	}
}

func toggled(of []byte) []byte {
	other := slices.Clone(of)
	other[len(other)/2] ^= 1
	return other
}

func FuzzApply(f *testing.F) {
	from := setOf(map[string]string{"a.rego": strings.Repeat("package a\n", 200), "b.rego": "package b"})
	for _, to := range []map[string]string{{}, {"a.rego": strings.Repeat("package a\n", 199) + "#"}, {"c/d.rego": "package d"}} {
		packed, err := delta.Make(from, setOf(to), "a", "b")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		limits := delta.Limits{Files: 10, Bytes: 1 << 16}
		to, _, _, err := delta.Apply(from, "a", packed, limits)
		if err == nil && (len(to.Files()) > limits.Files || to.Bytes() > limits.Bytes) {
			t.Errorf("%d files of %d bytes", len(to.Files()), to.Bytes())
		}
	})
}

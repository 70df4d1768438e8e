package history_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"defenseclaw/engine/history"
)

// pair is a store with a sound entry, and a newer one to damage.
func pair(t *testing.T) (s *history.Store, before, victim history.Entry) {
	t.Helper()
	s = newStore(t, history.Config{})
	before = save(t, s, version(t, 1))
	victim = save(t, s, load(t, files{
		"p.rego": good, "data.json": `{"a": 1}`, "data-x.yaml": "b: 2\n", "team/p.rego": "package team\n\nx := 2\n",
	}.fs()))
	return s, before, victim
}

// fallsBack expects the victim to be passed over as damaged for the entry before.
func fallsBack(t *testing.T, s *history.Store, before history.Entry, what string) error {
	t.Helper()
	found, err := s.Newest(t.Context(), nil)
	if err != nil || found.Entry != before || len(found.Skipped) != 1 || !errors.Is(found.Skipped[0].Err, history.ErrDamaged) {
		t.Fatalf("%s: found %s, skipped %v, %v", what, found.Entry.Name, found.Skipped, err)
	}
	return found.Skipped[0].Err
}

func TestATruncatedEntryIsSkipped(t *testing.T) {
	s, before, victim := pair(t)
	text, err := os.ReadFile(victim.Path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(text) {
		if err := os.WriteFile(victim.Path, text[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		fallsBack(t, s, before, fmt.Sprintf("the first %d of %d bytes", n, len(text)))
	}
	if err := os.WriteFile(victim.Path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if found, err := s.Newest(t.Context(), nil); err != nil || found.Entry != victim {
		t.Errorf("whole again: %+v, %v", found.Entry, err)
	}
}

// Some bits can flip without touching what is held: a time in gzip's header, padding between two
// blocks. Every other flip is found.
func TestAFlippedBitIsFoundOrHarmless(t *testing.T) {
	_, _, victim := pair(t)
	text, err := os.ReadFile(victim.Path)
	if err != nil {
		t.Fatal(err)
	}
	want := everything(t, victim)
	harmless := 0
	for bit := range len(text) * 8 {
		flipped := slices.Clone(text)
		flipped[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(victim.Path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := victim.FS(t.Context())
		switch {
		case err == nil && everything(t, victim) != want:
			t.Fatalf("bit %d of byte %d flipped, and the entry holds something else", bit%8, bit/8)
		case err == nil:
			harmless++
		case !errors.Is(err, history.ErrDamaged):
			t.Fatalf("bit %d of byte %d: %v is not called damage", bit%8, bit/8, err)
		}
	}
	if harmless > 100 {
		t.Errorf("%d of %d flips passed for sound", harmless, len(text)*8)
	}
}

// everything is a text of all that an entry holds.
func everything(t *testing.T, e history.Entry) string {
	t.Helper()
	info, err := e.Info()
	if err != nil {
		t.Fatal(err)
	}
	src, err := e.FS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, info)
	err = fs.WalkDir(src, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(src, p)
		fmt.Fprintf(&b, "%s: %q\n", p, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWhateverHasAnEntrysNameIsSkipped(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	for name, put := range map[string]func(victim, sound string) error{
		"an empty file":         func(victim, _ string) error { return os.WriteFile(victim, nil, 0o600) },
		"text":                  func(victim, _ string) error { return os.WriteFile(victim, []byte("x := 1\n"), 0o600) },
		"a directory":           func(victim, _ string) error { return os.MkdirAll(filepath.Join(victim, "x"), 0o700) },
		"a link to a sound one": func(victim, sound string) error { return os.Symlink(sound, victim) },
		"a link to nothing":     func(victim, _ string) error { return os.Symlink(outside, victim) },
		"a link to itself":      func(victim, _ string) error { return os.Symlink(victim, victim) },
		"a FIFO":                func(victim, _ string) error { return makeFIFO(victim) },
		"another's entry": func(victim, sound string) error {
			text, err := os.ReadFile(sound)
			return errors.Join(err, os.WriteFile(victim, text, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, before, victim := pair(t)
			if err := errors.Join(os.Remove(victim.Path), put(victim.Path, before.Path)); err != nil {
				t.Fatal(err)
			}
			fallsBack(t, s, before, name)
			newest := save(t, s, version(t, 3)) // and saving goes on
			if found, err := s.Newest(t.Context(), nil); err != nil || found.Entry != newest {
				t.Errorf("%+v, %v", found.Entry, err)
			}
			if _, err := os.Lstat(victim.Path); err != nil {
				t.Errorf("the evidence is gone: %v", err)
			}
		})
	}
}

func TestAHostileArchiveIsRefused(t *testing.T) {
	regular := func(name, text string) member {
		return member{tar.Header{Name: name, Mode: 0o600, Typeflag: tar.TypeReg}, text}
	}
	more := func(extra ...member) func([]member) []member {
		return func(all []member) []member { return append(all, extra...) }
	}
	const outside, irregular, foreign = "is not a path inside", "is not a regular file", "is neither policy nor data"
	const other, unmerged = "its files have revision", "has no place in an entry with merged data"
	for name, c := range map[string]struct {
		alter func([]member) []member
		want  string
	}{
		"a path that climbs":        {more(regular("../../etc/evil.rego", good)), outside},
		"a path that climbs inside": {more(regular("a/../../evil.rego", good)), outside},
		"an absolute path":          {more(regular("/etc/evil.rego", good)), outside},
		"a path with a dot":         {more(regular("./evil.rego", good)), outside},
		"the parent itself":         {more(regular("..", good)), outside},
		"nothing for a name":        {more(regular("", good)), outside},
		"an endless name":           {more(regular(strings.Repeat("a", 5000)+"/p.rego", good)), outside},
		"an endless path":           {more(regular(strings.Repeat("a/", 1000)+"p.rego", good)), outside},
		"a file twice":              {more(regular("p.rego", good)), "twice"},
		"the manifest twice":        {more(regular(".manifest", "{}")), "twice"},
		"a symbolic link":           {more(member{tar.Header{Name: "l.rego", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}, ""}), irregular},
		"a hard link":               {more(member{tar.Header{Name: "l.rego", Linkname: "p.rego", Typeflag: tar.TypeLink}, ""}), irregular},
		"a folder":                  {more(member{tar.Header{Name: "folder/", Typeflag: tar.TypeDir}, ""}), irregular},
		"a device":                  {more(member{tar.Header{Name: "d.rego", Typeflag: tar.TypeChar}, ""}), irregular},
		"a FIFO":                    {more(member{tar.Header{Name: "f.rego", Typeflag: tar.TypeFifo}, ""}), irregular},
		"an unknown file":           {more(regular("README.md", "x")), unmerged},
		"unmerged data":             {more(regular("team/data.json", "{}")), unmerged},
		"a module as a source":      {more(regular("q.rego.source", "package q")), unmerged},
		"a hidden file":             {more(regular(".git/p.rego", good)), foreign},
		"a test":                    {more(regular("p_test.rego", "package p_test")), foreign},
		"an overlay in a folder":    {more(regular("team/data-x.json.source", "{}")), foreign},
		"one module more":           {more(regular("q.rego", "package q")), other},
		"the manifest alone":        {func(all []member) []member { return all[:1] }, other},
		"a file less":               {func(all []member) []member { return all[:len(all)-1] }, other},
		"a module changed":          {func(all []member) []member { all[len(all)-1].text += "\n"; return all }, other},
		"a file renamed":            {func(all []member) []member { all[len(all)-1].Name = "team/q.rego"; return all }, other},
		"no file at all":            {func([]member) []member { return nil }, "EOF"},
		"no manifest":               {func(all []member) []member { return all[1:] }, "begins with"},
		"the manifest last":         {func(all []member) []member { return append(slices.Clone(all[1:]), all[0]) }, "begins with"},
		"another revision":          {manifest("sha256:", "sha256:0"), other},
		"no revision":               {manifest(`"revision":"sha256:`, `"rev":"`), other},
		"no format":                 {manifest(`"format":1`, `"format":"1"`), "no format"},
		"another root":              {manifest(`"root":"."`, `"root":"../.."`), "root"},
		"data said to be as is":     {manifest(`"merged":true`, `"merged":false`), foreign},
		"a time that is none":       {manifest(`"root":`, `"loaded_at":"yesterday","root":`), "time"},
		"a manifest of text":        {func(all []member) []member { all[0].text = "revision 7"; return all }, "invalid character"},
		"a manifest and more":       {func(all []member) []member { all[0].text += "{}"; return all }, "after top-level value"},
		"a bundle of another's":     {func(all []member) []member { all[0].text = `{"revision":"7","roots":[""]}`; return all }, "no format"},
	} {
		t.Run(name, func(t *testing.T) {
			s, before, victim := pair(t)
			packFile(t, victim.Path, c.alter(unpackFile(t, victim.Path)))
			err := fallsBack(t, s, before, name)
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), victim.Path) {
				t.Errorf("%v; want %q, and the path left for the caller to tell", err, c.want)
			}
		})
	}
}

func manifest(before, after string) func([]member) []member {
	return func(all []member) []member {
		all[0].text = strings.Replace(all[0].text, before, after, 1)
		return all
	}
}

func TestAnArchiveRepackedByOtherToolsIsSound(t *testing.T) {
	s, _, victim := pair(t)
	want := everything(t, victim)
	packFile(t, victim.Path, unpackFile(t, victim.Path))
	if found, err := s.Newest(t.Context(), nil); err != nil || found.Entry != victim || everything(t, victim) != want {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestBytesAfterTheEndAreDamage(t *testing.T) {
	for name, tail := range map[string][]byte{"text": []byte("x"), "zeros": make([]byte, 512), "another stream": nil} {
		s, before, victim := pair(t)
		text, err := os.ReadFile(victim.Path)
		if err != nil {
			t.Fatal(err)
		}
		if tail == nil {
			tail = text
		}
		if err := os.WriteFile(victim.Path, append(text, tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		fallsBack(t, s, before, name)
	}
}

func TestAnEntryOfALaterFormatIsNotCalledDamaged(t *testing.T) {
	s, before, victim := pair(t)
	packFile(t, victim.Path, manifest(`"format":1`, `"format":2`)(unpackFile(t, victim.Path)))
	found, err := s.Newest(t.Context(), nil)
	if err != nil || found.Entry != before || len(found.Skipped) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	if err := found.Skipped[0].Err; errors.Is(err, history.ErrDamaged) || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("%v", err)
	}
}

// A file of a few bytes that says it is larger than memory costs what its bytes cost.
func TestABombIsRefusedWithoutItsMemory(t *testing.T) {
	t.Run("sparse", func(t *testing.T) {
		s, before, victim := pair(t)
		all := unpackFile(t, victim.Path)
		record := func(text string) string { // a PAX record: its own length first
			for n := len(text); ; n++ {
				if r := fmt.Sprintf("%d %s\n", n, text); len(r) == n {
					return r
				}
			}
		}
		pax := record("GNU.sparse.major=1") + record("GNU.sparse.minor=0") + record("GNU.sparse.name=bomb.rego") + record("GNU.sparse.realsize=1000000000000")
		all = append(all, member{tar.Header{Name: "PaxHeaders.0/bomb", Mode: 0o600, Typeflag: tar.TypeReg}, pax})
		packFile(t, victim.Path, all)
		raw := gunzip(t, victim.Path)
		at := bytes.LastIndex(raw, []byte("PaxHeaders.0/bomb"))
		raw[at+156] = tar.TypeXHeader
		checksum(raw[at : at+512])
		var content bytes.Buffer
		w := tar.NewWriter(&content)
		text := "0\n" + strings.Repeat("\x00", 510)
		if err := errors.Join(w.WriteHeader(&tar.Header{Name: "x", Mode: 0o600, Typeflag: tar.TypeReg, Size: int64(len(text))}), write(w, text), w.Close()); err != nil {
			t.Fatal(err)
		}
		end := at + 512 + (len(pax)+511)/512*512
		regzip(t, victim.Path, append(raw[:end:end], content.Bytes()...))
		if _, err := s.Newest(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		_, err := victim.FS(t.Context())
		if err == nil || !strings.Contains(err.Error(), "GNU.sparse") {
			t.Errorf("%v; want the sparse record refused", err)
		}
		fallsBack(t, s, before, "sparse")
	})
	t.Run("zeros", func(t *testing.T) {
		_, _, victim := pair(t)
		all := unpackFile(t, victim.Path)
		packFile(t, victim.Path, append(all, member{tar.Header{Name: "q.rego", Mode: 0o600, Typeflag: tar.TypeReg}, strings.Repeat("\n", 1<<20)}))
		small := newStore(t, history.Config{Dir: filepath.Dir(victim.Path), MaxBytes: 64 << 10})
		found, err := small.Newest(t.Context(), nil)
		if err != nil || len(found.Skipped) != 1 || errors.Is(found.Skipped[0].Err, history.ErrDamaged) {
			t.Errorf("%+v, %v; want it refused for its size alone", found, err)
		}
	})
}

func TestTheRevisionIsTheEngines(t *testing.T) {
	g := load(t, files{"a/b.rego": "package a", "p.rego": "package p", "data.json": "{}"}.fs())
	h := sha256.New()
	for _, f := range g.Files() {
		fmt.Fprintf(h, "%d:%s\n%x\n", len(f.Path), f.Path, sha256.Sum256(f.Bytes))
	}
	if got := fmt.Sprintf("sha256:%x", h.Sum(nil)); got != g.Revision() {
		t.Errorf("the engine says %s where the history would say %s: change unpacked.revision with it, and entryFormat", g.Revision(), got)
	}
}

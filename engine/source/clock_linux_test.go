package source

import (
	"io/fs"
	"syscall"
	"testing"
	"time"
)

// TestOneEditReadsOneFileSoonAfterADeployment where the clock of the files ticks finely.
func TestOneEditReadsOneFileSoonAfterADeployment(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "a.rego", "package a")
	writeFile(t, dir, "b/b.rego", "package b")
	d, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.FineDevice() == 0 {
		t.Skip("the file system of the temporary directory is none whose clock is known")
	}
	first, _ := diskRead(t, dir, ask{full: true, fine: true}, nil)
	after := func(d time.Duration) *Reading {
		r := *first
		r.begun = r.begun.Add(d)
		return &r
	}
	for _, a := range []ask{{fine: true}, {fine: true, watched: true}} {
		if _, read := diskRead(t, dir, a, after(3*racyFine)); len(read) != 0 {
			t.Errorf("%+v: read %v", a, read)
		}
		if _, read := diskRead(t, dir, a, after(-time.Hour)); len(read) != 2 {
			t.Errorf("%+v: read %v", a, read)
		}
	}
}

// stat is the stat of a file.
type stat struct {
	fs.FileInfo
	modified, changed time.Time
	device            uint64
}

func (s stat) ModTime() time.Time { return s.modified }

func (s stat) Sys() any {
	return &syscall.Stat_t{Dev: s.device, Ctim: syscall.NsecToTimespec(s.changed.UnixNano())}
}

func TestWhenAStatProvesSomething(t *testing.T) {
	whole := time.Unix(1_000_000, 0)
	odd := whole.Add(4_000_000)
	for name, tt := range map[string]struct {
		stat stat
		fine uint64
		want time.Time
	}{
		"a fine clock":                       {stat{modified: odd, changed: odd, device: 7}, 7, odd.Add(racyFine)},
		"a time that was set back":           {stat{modified: whole, changed: odd, device: 7}, 7, odd.Add(racyFine)},
		"a time that was set ahead":          {stat{modified: odd.Add(time.Hour), changed: odd, device: 7}, 7, odd.Add(time.Hour + racyFine)},
		"seconds":                            {stat{modified: odd, changed: whole, device: 7}, 7, odd.Add(racy)},
		"another file system":                {stat{modified: odd, changed: odd, device: 8}, 7, odd.Add(racy)},
		"a source that says nothing of that": {stat{modified: odd, changed: odd}, 0, odd.Add(racy)},
	} {
		if got := provenFrom(tt.stat, tt.fine); !got.Equal(tt.want) {
			t.Errorf("%s: %s; want %s", name, got, tt.want)
		}
	}
}

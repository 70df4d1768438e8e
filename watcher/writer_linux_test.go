package watcher

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// begin opens p.rego for writing, as a slow writer does.
func (r *rig) begin() *os.File {
	r.t.Helper()
	f, err := os.OpenFile(filepath.Join(r.dir, "p.rego"), os.O_WRONLY, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { f.Close() })
	return f
}

func TestAFileIsCompleteWhenItsWriterHasClosedIt(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		f := r.begin()
		for range 5 {
			r.event(fsnotify.Write, "p.rego")
			r.expectNothingFor(time.Second)
		}
		time.Sleep(DefaultDebounce / 2) // between two looks
		f.Close()
		if c := r.expect(5*time.Second+DefaultDebounce, "p.rego"); len(c.Open) > 0 {
			t.Errorf("still open: %v", c.Open)
		}
		r.expectNothingFor(10 * time.Second)
	})
}

func TestAnIdleWriterIsWaitedForTwoSeconds(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.begin()
		r.event(fsnotify.Write, "p.rego")
		if c := r.expect(maxWriterIdle, "p.rego"); !slices.Equal(c.Open, []string{"p.rego"}) {
			t.Errorf("still open: %v", c.Open)
		}
		// It is not waited for again because of another file.
		write(t, filepath.Join(r.dir, "q.rego"), "1")
		r.start = time.Now()
		r.event(fsnotify.Create, "q.rego")
		r.expect(wholeFileQuiet, "q.rego")
	})
}

func TestAWriterWithoutEndIsWaitedForThirtySeconds(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.begin()
		r.event(fsnotify.Write, "p.rego")
		r.start = time.Now()
		go func() {
			for range 40 {
				time.Sleep(time.Second)
				r.event(fsnotify.Write, "p.rego")
			}
		}()
		if c := r.expect(maxWriterWait, "p.rego"); !slices.Equal(c.Open, []string{"p.rego"}) {
			t.Errorf("still open: %v", c.Open)
		}
		<-r.out
		time.Sleep(time.Minute)
	})
}

func TestReadersAndOtherFilesAreNotWaitedFor(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		reader, err := os.Open(filepath.Join(r.dir, "p.rego"))
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		other, err := os.Create(filepath.Join(r.dir, "q.rego"))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		r.event(fsnotify.Write, "p.rego")
		r.expect(DefaultDebounce, "p.rego")
	})
}

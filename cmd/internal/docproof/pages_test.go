//go:build unix

package docproof

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// repository is the top of this one.
const repository = "../../../"

// proven are the pages whose blocks are run, by patterns below the repository.
var proven = []string{"README.md", "docs/start/*.md", "docs/how-to/*.md", "docs/explanation/*.md", "docs/reference/*.md", "docs/reference/*/*.md", "docs/*.md"}

// elsewhere are pages whose commands other tests run.
var elsewhere = []string{"docs/how-to/take-over.md"} // cmd/internal/cli/testdata/takeover: it needs a home of the original gateway

func TestThePagesDoWhatTheySay(t *testing.T) {
	needsBash(t)
	if underRaceDetector {
		t.Skip("the pages are read with the program as it is built: make pages")
	}
	var ran, notRun atomic.Int64
	t.Cleanup(func() { t.Logf("%d commands were run, %d blocks were not", ran.Load(), notRun.Load()) })
	for _, pattern := range proven {
		names, err := filepath.Glob(repository + pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no page is named %s: %v", pattern, err)
		}
		for _, name := range names {
			if slices.Contains(elsewhere, strings.TrimPrefix(filepath.ToSlash(name), repository)) {
				continue
			}
			t.Run(strings.TrimPrefix(filepath.ToSlash(name), repository), func(t *testing.T) {
				t.Parallel()
				text, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				blocks, err := parsePage(string(text))
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(blocks, block.isDone) {
					return
				}
				begun := time.Now()
				r := open(t)
				if err := r.read(blocks); err != nil {
					t.Error(err)
				}
				t.Logf("%d commands in %v", r.ran, time.Since(begun).Round(time.Millisecond))
				for _, reason := range append(r.notRun, r.missing...) {
					t.Log("NOT RUN: ", reason)
				}
				ran.Add(int64(r.ran))
				notRun.Add(int64(len(r.notRun) + len(r.missing)))
			})
		}
	}
}

// open opens a reader for a test.
func open(t *testing.T) *reader {
	t.Helper()
	program, err := exec.LookPath("defenseclaw")
	if err != nil {
		t.Fatal(err)
	}
	r, err := newReader(context.WithoutCancel(t.Context()), repository, filepath.Dir(program), freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// freePort returns a port that the kernel gives to nobody who asks for any.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(10000)
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no port is free")
	return 0
}

func needsBash(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skipf("SKIPPED: the pages are not run: %v", err)
	}
}

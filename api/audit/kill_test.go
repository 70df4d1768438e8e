//go:build unix

package audit_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/api/audit"
)

// appendUntilKilled is the process that the next test kills. It names each record that was reported
// to be on disk.
func appendUntilKilled(path string) error {
	l, err := audit.New(audit.Config{Path: path, MaxBytes: 64 << 10, PruneEvery: 20 * time.Millisecond})
	if err != nil {
		return err
	}
	go l.Run(context.Background()) //nolint:errcheck // it is killed
	var group sync.WaitGroup
	for w := range 3 {
		group.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				if i%10 == 9 {
					_, _, err = l.AddEntry(context.Background(), audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: fmt.Sprint(w), Reason: name}, name)
				} else {
					err = l.Append(context.Background(), audit.Record{Action: "x", RequestID: name})
				}
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Println("durable", name)
			}
		})
	}
	group.Wait()
	return nil
}

func TestDurableRecordsSurviveAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	for round := range 12 {
		reported := killWhileAppending(t, path, 5+round*7)
		report := wantSound(t, path)
		there := map[string]bool{}
		for _, r := range all(t, read(t, path)) {
			there[r.RequestID] = true
		}
		// Retention may have removed the oldest; it keeps at least the newest 64.
		for _, name := range reported[max(0, len(reported)-50):] {
			if !there[name] {
				t.Fatalf("round %d: %s was reported to be on disk, and is not there; report %+v", round, name, report)
			}
		}
	}
	l := start(t, audit.Config{Path: path})
	l.add(t, "after")
	if got := wantSound(t, path); got.First == 1 {
		t.Log("retention never ran before a kill")
	}
}

func killWhileAppending(t *testing.T, path string, records int) (reported []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), appenderEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range records {
		if !lines.Scan() {
			t.Fatal("the appending process ended by itself")
		}
		reported = append(reported, strings.TrimPrefix(lines.Text(), "durable "))
	}
	time.Sleep(time.Duration(rand.IntN(int(5 * time.Millisecond)))) // to hit different steps; any will do
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "durable "); ok && strings.Count(name, "-") == 2 {
			reported = append(reported, name)
		}
	}
	cmd.Wait() //nolint:errcheck // it was killed
	return reported
}

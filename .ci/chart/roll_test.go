package chart_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const token = "f3b1c60a9d2e47785b90ad41c6e83f1277a05d9be4c81362f0a9b7d5e2c14683"

// program builds the sidecar.
func program(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "defenseclaw-gateway")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", out, "./cmd/defenseclaw-gateway")
	cmd.Dir = "../.."
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// start runs the program as the chart does with the values, with its volumes below root, and returns its address.
func start(t *testing.T, program, values, root string) string {
	t.Helper()
	r, err := render(t, load(t, chartDir), readValues(t, chartDir+"/ci/"+values+"-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	address := "http://127.0.0.1:" + launch(t, program, r, root)
	c := sidecarOf(t, r)
	until(t, "ready", func() bool { code, _ := ask(c.ReadinessProbe.HTTPGet.Path, address); return code == http.StatusOK })
	if code, _ := ask(c.LivenessProbe.HTTPGet.Path, address); code != http.StatusOK {
		t.Errorf("the liveness probe gets %d", code)
	}
	return address
}

// launch runs the program with the arguments of the container, with its volumes below root, and returns its port.
func launch(t *testing.T, program string, r rendered, root string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	c := sidecarOf(t, r)
	var args []string
	for _, arg := range c.Args {
		name, value, _ := strings.Cut(arg, "=")
		switch {
		case strings.HasPrefix(value, "/"):
			arg = name + "=" + root + value
		case name == "--api-port":
			arg = name + "=" + port
		case name == "--shutdown-delay":
			arg = name + "=0s" // the test does not wait for load balancers
		}
		args = append(args, arg)
	}
	for _, m := range c.VolumeMounts {
		if err := os.MkdirAll(root+m.MountPath, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, args...)
	cmd.Env = []string{c.Env[0].Name + "=" + token}
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = cmd.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		for in := bufio.NewScanner(log); in.Scan(); {
			lines.WriteString(in.Text() + "\n")
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("the program ended with %v", err)
		}
		if t.Failed() {
			t.Logf("%v:\n%s", args, lines.String())
		}
	})
	return port
}

func ask(path, address string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+path, http.NoBody)
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

// until waits long enough for a busy machine, and not for the scan of every 30 seconds that finds what the watch misses.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not %s in 20 seconds", what)
		}
	}
}

func serves(address string, n int) bool {
	_, body := ask("/v1/data/app/answer", address)
	var answer struct{ Result int }
	return json.Unmarshal([]byte(body), &answer) == nil && answer.Result == n
}

func module(n int) map[string]string {
	return map[string]string{"app.rego": fmt.Sprintf("package app\n\nanswer := data.number + %d\n", 100*n), "data.json": fmt.Sprintf(`{"number": %d}`, n)}
}

// swap makes a directory beside those of before, and replaces the link to it in one step.
func swap(t *testing.T, dir, name, link string, files map[string]string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(name, filepath.Join(dir, link+"_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, link+"_tmp"), filepath.Join(dir, link)); err != nil {
		t.Fatal(err)
	}
}

// A ConfigMap is rolled as the kubelet does: files are links through ..data, which is replaced in one step.
func TestAConfigMapRolls(t *testing.T) {
	root := t.TempDir()
	dir := root + "/etc/defenseclaw/policies"
	roll := func(n int) { swap(t, dir, fmt.Sprintf("..2026_01_02_03_04_%02d.1%d", n, n), "..data", module(n)) }
	roll(1)
	for file := range module(1) {
		if err := os.Symlink("..data/"+file, filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
	address := start(t, program(t), "files", root)
	follow(t, address, roll, func(n int) error { return os.RemoveAll(fmt.Sprintf("%s/..2026_01_02_03_04_%02d.1%d", dir, n, n)) })
}

// git-sync makes a work tree for each commit, and replaces the link that --policy-dir goes through.
func TestAGitSyncVolumeMoves(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(root+"/git/.worktrees", 0o755); err != nil {
		t.Fatal(err)
	}
	tree := func(n int) string { return fmt.Sprintf(".worktrees/%040d", n) }
	move := func(n int) {
		if err := os.MkdirAll(root+"/git/"+tree(n)+"/rego", 0o755); err != nil {
			t.Fatal(err)
		}
		files := map[string]string{".git": "gitdir: ../../.git\n"}
		for name, text := range module(n) {
			files["rego/"+name] = text
		}
		swap(t, root+"/git", tree(n), "current", files)
	}
	move(1)
	address := start(t, program(t), "git", root)
	follow(t, address, move, func(n int) error { return os.RemoveAll(root + "/git/" + tree(n)) })
}

// follow changes the policy ten times and removes what was before, and sees each change served: whole, never one file of
// before with one of after.
func follow(t *testing.T, address string, change func(int), remove func(int) error) {
	t.Helper()
	until(t, "served at the start", func() bool { return serves(address, 101) })
	var slowest time.Duration
	for n := 2; n <= 11; n++ {
		change(n)
		began := time.Now()
		if err := remove(n - 1); err != nil {
			t.Fatal(err)
		}
		until(t, "served after a change", func() bool {
			if serves(address, 101*n) {
				return true
			}
			if !serves(address, 101*(n-1)) && !serves(address, 101*n) {
				_, body := ask("/v1/data/app/answer", address)
				t.Errorf("change %d: neither what was nor what is: %s", n, body)
				return true
			}
			return false
		})
		slowest = max(slowest, time.Since(began))
	}
	t.Logf("the slowest of ten changes served after %v", slowest)
}

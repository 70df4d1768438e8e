package migrate_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/migrate"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/testutil/originalhome"
)

// check makes a home, lets change change it, and returns what is found in it.
func check(t *testing.T, o originalhome.Options, change func(dir string), flags map[string]string) migrate.Report {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "home")
	if err := originalhome.Make(dir, o); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(dir)
	}
	s, wrong := settings.Resolve(func(name string) (string, bool) {
		if name == "data-dir" {
			return dir, true
		}
		v, ok := flags[name]
		if name == "api-port" && !ok {
			return "0", true
		}
		return v, ok
	}, func(string) string { return "" })
	r, err := migrate.Check(t.Context(), s, wrong)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// text is all that is said about one thing.
func text(r migrate.Report, kind migrate.Kind, about string) string {
	var all []string
	for _, f := range r.Findings {
		if f.Kind == kind && f.About == about {
			all = append(all, f.Text)
		}
	}
	return strings.Join(all, "\n")
}

func TestAProgramOnTheSamePortNeedsAttention(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	r := check(t, originalhome.Options{}, nil, map[string]string{"api-port": port})
	if got := text(r, migrate.Attention, "address"); !strings.Contains(got, "cannot listen on 127.0.0.1:"+port) {
		t.Errorf("found %q in %+v", got, r)
	}
}

func TestARunningOriginalNeedsAttention(t *testing.T) {
	for _, form := range []string{`{"pid": %, "executable": "/usr/bin/defenseclaw-gateway", "start_time": 1}`, "%\n"} {
		r := check(t, originalhome.Options{}, func(dir string) {
			pid := strings.ReplaceAll(form, "%", strconv.Itoa(os.Getpid()))
			if err := os.WriteFile(filepath.Join(dir, "gateway.pid"), []byte(pid), 0o600); err != nil {
				t.Fatal(err)
			}
		}, nil)
		if got := text(r, migrate.Attention, "process"); !strings.Contains(got, "the original seems to run") {
			t.Errorf("%s: found %q", form, got)
		}
	}
}

func TestAnOldPidFileNeedsNone(t *testing.T) {
	r := check(t, originalhome.Options{}, func(dir string) {
		const gone = `{"pid": 2147483646}` // above the highest id that a kernel gives
		if err := os.WriteFile(filepath.Join(dir, "gateway.pid"), []byte(gone), 0o600); err != nil {
			t.Fatal(err)
		}
	}, nil)
	if got := text(r, migrate.Attention, "process"); got != "" {
		t.Errorf("found %q", got)
	}
}

func TestAnAddressThatOthersReachNeedsATokenAndTLS(t *testing.T) {
	r := check(t, originalhome.Options{}, func(dir string) {
		if err := os.Remove(filepath.Join(dir, ".env")); err != nil {
			t.Fatal(err)
		}
	}, map[string]string{"api-bind": "0.0.0.0"})
	got := text(r, migrate.Attention, "address")
	if !strings.Contains(got, "without TLS") || !strings.Contains(got, "without a token") {
		t.Errorf("found %q", got)
	}
}

package attack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/testutil"
)

// TestAStartThatDiedWhileLoading kills the program twice while it loads the same files. The third start serves the
// last good policy, says why, and loads nothing until a file changes.
func TestAStartThatDiedWhileLoading(t *testing.T) {
	if underRaceDetector {
		t.Skip("SKIPPED: the race detector's memory does not fit under the limit; make hostile runs it without")
	}
	v := start(t)
	if !testutil.Eventually(func() bool {
		kept, _ := filepath.Glob(filepath.Join(v.state(), "history", "*", "*.tar*"))
		return len(kept) > 0
	}) {
		t.Fatal("the policy was not saved")
	}
	v.stop()
	must(t, os.Mkdir(v.file("large"), 0o700))
	for i := range 4000 { // for about a second of loading, in which it is killed
		v.write(fmt.Sprintf("large/%d.rego", i), fmt.Sprintf("package large.p%d\n\nok if input.n == %d\n\nalso if ok\n", i, i))
	}
	for deaths := 1; deaths <= 2; deaths++ {
		v.launch()
		if !testutil.Eventually(func() bool { return v.marked() == deaths }) {
			t.Fatalf("start %d does not say that it loads: %s", deaths, v.lastWords())
		}
		v.stop()
	}

	v.run()
	if !testutil.Eventually(func() bool {
		a, err := v.ask(http.MethodGet, "/policy/status", "")
		return err == nil && strings.Contains(a.body, `"state":"restored"`) && strings.Contains(a.body, "2 starts ended while they loaded these files")
	}) {
		t.Errorf("the status is %s", v.status())
	}
	must(t, v.held())
	if a, err := v.ask(http.MethodPost, "/v1/data/large/p7/also", `{"input":{"n":7}}`); err != nil || strings.Contains(a.body, "result") {
		t.Errorf("what killed two starts was loaded: %v %v", a, err)
	}
	v.stop()
	v.run()
	if got := v.marked(); got != 2 {
		t.Errorf("a start that loaded nothing counts as a death: %d", got)
	}

	must(t, v.serves("a change"))
	must(t, v.becomes("current"))
	must(t, v.answers("/v1/data/large/p7", `"result":{}`))
	if !testutil.Eventually(func() bool { return v.marked() == 0 }) {
		t.Error("the mark is still there after a load")
	}
}

// marked is how many starts died of what this one loads, itself included; 0 while it says that it loads nothing.
func (v *victim) marked() int {
	var mark struct {
		Deaths int `json:"deaths"`
	}
	text, err := os.ReadFile(filepath.Join(v.state(), "loading.json"))
	if err != nil || json.Unmarshal(text, &mark) != nil {
		return 0
	}
	return mark.Deaths
}

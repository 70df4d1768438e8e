package consoleproof

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/testutil"

	"github.com/chromedp/chromedp"
)

const (
	quickRule = "r%d if input.n >= 0\n"
	// slowRule takes long enough that hundreds of decisions take seconds.
	slowRule = "r%d if {\n\tsome x in numbers.range(1, 200)\n\tsome y in numbers.range(1, 200)\n\tx * y < input.n - 1000\n}\n"
	// Of each rule's decisions a few are kept, and so many together are evaluated in a process of their own.
	manyRules, ofEach = 40, 8
)

func rulesOf(text string) string {
	all := "package p\n\n"
	for i := range manyRules {
		all += fmt.Sprintf(text, i)
	}
	return all
}

// busy is the processor time that the process which evaluates changes has taken, in ticks; 0: there is none.
func (s *sidecar) busy() (ticks int) {
	s.t.Helper()
	var status struct {
		Reviewer struct {
			PID int `json:"pid"`
		} `json:"reviewer"`
	}
	if err := json.Unmarshal([]byte(s.call(http.MethodGet, "/policy/status", "")), &status); err != nil {
		s.t.Fatal(err)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", status.Reviewer.PID))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	for _, field := range fields[11:13] { // in user's and in kernel's mode
		n, err := strconv.Atoi(field)
		if err != nil {
			s.t.Fatal(err)
		}
		ticks += n
	}
	return ticks
}

// works waits until the process has worked for a while from now on, and rests until it has done nothing for a while.
func (s *sidecar) works() {
	s.t.Helper()
	from := s.busy()
	if !testutil.Eventually(func() bool { return s.busy() > from+10 }) {
		s.t.Fatal("nothing is evaluated")
	}
}

func (s *sidecar) rests() {
	s.t.Helper()
	last, same := s.busy(), 0
	if !testutil.Eventually(func() bool {
		now := s.busy()
		if same++; now > last+1 { // the collector may run
			last, same = now, 0
		}
		return same > 150
	}) {
		s.t.Fatal("it is evaluated although nobody waits for it")
	}
}

// A comparison that takes long tells how far it is, and ends when it is cancelled or its page is left.
func TestALongComparisonIsCancelled(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"p.rego": rulesOf(quickRule)})
	for i := range manyRules * ofEach {
		s.call(http.MethodPost, fmt.Sprintf("/v1/data/p/r%d", i%manyRules), fmt.Sprintf(`{"input":{"n":%d}}`, i))
	}
	s.run("policy", "hold", "--reason", "it is looked at")
	s.write("p.rego", rulesOf(slowRule))
	p := s.browse()
	p.do(chromedp.Navigate(s.link()))
	p.see("h1", "An order keeps")
	said := p.complaints()
	counted := func() {
		t.Helper()
		p.see("#evidence", "Recorded decisions are tried on both…")
		p.hold(`(m => m && +m[1] > 0 && +m[2] > 200)(document.querySelector(".working span").innerText.match(/^(\d+) of (\d+), /))`)
		p.hold(`(b => b.value > 0 && b.position < 1)(document.querySelector(".working progress"))`)
		s.works()
	}
	compare := s.open(p, "/console/compare?from=serving&to=disk")
	counted()
	p.click("#evidence button", "Cancel")
	p.see("#evidence [role=status]", "Cancelled.")
	s.rests()
	p.see(".diff .add", "numbers.range") // the rest of the page stays

	p.click("#evidence button", "Start again")
	counted()
	p.do(chromedp.Navigate(compare + "nothing")) // a side that nobody knows
	p.see(".problem", "a side is")
	s.rests()
	said.none(t)
}

// open goes to an address of the sidecar that the page is from.
func (s *sidecar) open(p *page, path string) string {
	s.t.Helper()
	origin, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("location.origin"))
	if err != nil {
		s.t.Fatal(err)
	}
	p.do(chromedp.Navigate(origin + path))
	return origin + path
}

// What decisions reach is told while it is found out, and comes by itself.
func TestTheLinesThatAreReachedComeByThemselves(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"p.rego": rulesOf(quickRule)})
	for i := range 20 {
		s.call(http.MethodPost, "/v1/data/p/r1", fmt.Sprintf(`{"input":{"n":%d}}`, i))
	}
	p := s.signIn()
	said := p.complaints()
	s.open(p, "/console/policy?file=p.rego&lines=reached")
	p.see("#file", "recorded decisions made again")
	p.hold(`!document.querySelector("[data-work], .working")`)
	said.none(t)
}

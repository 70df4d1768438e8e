package consoleproof

import (
	"fmt"
	"testing"

	"defenseclaw/cmd/internal/testutil"

	"github.com/chromedp/chromedp"
)

// holds waits until an expression of the page is true.
func (p *page) holds(what, expression string) {
	p.t.Helper()
	if !testutil.Eventually(func() bool {
		found, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](expression))
		return err == nil && found
	}) {
		section, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.getElementById("activity").outerHTML`))
		p.t.Fatalf("it never holds that %s:\n%s", what, section)
	}
}

// painted is true where a plot has something on it.
const painted = `[...document.querySelectorAll("#activity [data-plot]")].length === 3 &&
[...document.querySelectorAll("#activity [data-plot] canvas")].filter(c =>
  c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some(v => v !== 0)).length === 3`

// Plots draw under the page's security policy, keep their place, and get a mark by themselves when an edit serves.
func TestNowPlotsTheLastHour(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"p.rego": "package p\n\nx := 1\n"})
	now := s.signIn()
	now.holds("three plots are drawn", painted)
	now.see("#activity", "1 reload")
	now.holds("the numbers stay in the page", `document.querySelectorAll("#activity table tbody tr").length >= 6`)
	const height = `document.getElementById("activity").getBoundingClientRect().height`
	before, err := chromedp.Run(now.ctx, chromedp.Evaluate[float64](height))
	if err != nil {
		t.Fatal(err)
	}

	s.write("p.rego", "package p\n\nx := 2\n")
	now.see(".generation", "2")
	now.see("#activity", "2 reloads")
	now.holds("they are drawn again, with both marks",
		painted+` && [...document.querySelectorAll("#activity [data-plot]")].every(e => e.dataset.reloads.split(",").length === 2)`)
	now.holds("nothing moved", fmt.Sprintf("%s === %v", height, before))
}

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

// The numbers of minutes that are over come once: a page that has them is given the later ones, and keeps its own before them.
func TestPlotsAskForWhatIsNew(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles)
	now := s.signIn()
	now.countChanges()
	now.do(chromedp.Navigate(s.origin() + "/console/"))
	now.settled()
	// The page is as one that was loaded at the beginning of the minute, after minutes with decisions.
	now.evaluate(`(() => {
		const rows = [...document.querySelectorAll("#activity [data-plot] .numbers tbody")];
		const begun = rows[0].rows[0].querySelector("time").dateTime;
		const row = (body, minutes) => {
			const one = body.rows[body.rows.length - 1].cloneNode(true);
			one.querySelector("time").dateTime = new Date(Date.parse(begun) - minutes * 60e3).toISOString();
			for (const cell of [...one.cells].slice(1)) cell.textContent = "42";
			one.dataset.old = "1";
			return one;
		};
		for (const body of rows) body.replaceChildren(row(body, 70), row(body, 2), row(body, 1), row(body, 0));
		const plots = document.querySelector("#activity > .plots");
		plots.dataset.since = begun;
		plots.dataset.columns = "a second|p99|p50||";
		window.has = begun;
		window.answers = [];
		document.addEventListener("htmx:beforeOnLoad", e => answers.push(e.detail.xhr.responseURL + " " + (e.detail.xhr.responseText.match(/<tr>/g) || []).length));
		htmx.trigger(document.body, "changed");
	})()`)
	now.holds("the page asked for what it lacks", `answers.some(a => a.includes("since=" + encodeURIComponent(has)))`)
	now.settledPlots()
	if got := ask[[]string](now, `JSON.stringify(answers)`); len(got) == 0 {
		t.Error("nothing was asked")
	}
	now.holds("old numbers stay as long as they are of the hour, and the new ones follow", `[...document.querySelectorAll("#activity [data-plot] .numbers tbody")].every(b =>
		[...b.rows].filter(r => r.dataset.old).length === 3 && b.rows.length > 3 &&
		[...b.rows].every((r, i, all) => i === 0 || Date.parse(r.querySelector("time").dateTime) > Date.parse(all[i - 1].querySelector("time").dateTime)))`)
	now.holds("they are drawn", painted)
}

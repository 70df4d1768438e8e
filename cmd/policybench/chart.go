package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A lineChart shows series of points on two logarithmic axes. Its text says what the picture shows, so that a reader who
// cannot see it loses nothing.
type lineChart struct {
	title, alt     string
	xTitle, yTitle string
	xTicks         []float64              // labelled values, ascending
	xText, yText   func(v float64) string // formats a value with its unit
	series         []series
}

// A series is drawn as a line with a marker and its value at each point.
type series struct {
	name   string
	theirs bool // of the program that this one is compared with: another colour and another marker
	dashed bool
	points []point
}

type point struct{ x, y float64 }

// A pairChart has a row for each pair of values, on one logarithmic axis.
type pairChart struct {
	title, alt, xTitle string
	xText              func(v float64) string
	pairs              []pair
}

// A pair is one measure of both programs.
type pair struct {
	name         string
	ours, theirs float64
}

const (
	chartWidth  = 760.0
	lineHeight  = 440.0
	rowHeight   = 20.0
	marginTop   = 48.0 // of the title; the legend follows
	marginLeft  = 84.0
	marginRight = 40.0
	markerSize  = 4.0
)

// chartStyle has a colour for each class, in light and in dark. Blue and orange also differ for the colour-blind, and
// markers differ in shape.
const chartStyle = `
text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; } .value { font-size: 12px; } .tick, .axis { fill: #59636e; }
.page { fill: #ffffff; } .grid { stroke: #d1d9e0; stroke-width: 1; } .gap { stroke: #818b98; stroke-width: 2; }
.line { fill: none; stroke-width: 2.5; } .dashed { stroke-dasharray: 6 5; }
.ours { fill: #0969da; } .theirs { fill: #bc4c00; } .line.ours { fill: none; stroke: #0969da; } .line.theirs { fill: none; stroke: #bc4c00; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc; } .tick, .axis { fill: #9198a1; } .page { fill: #0d1117; } .grid { stroke: #3d444d; } .gap { stroke: #656c76; }
.ours { fill: #4493f8; } .theirs { fill: #f0883e; } .line.ours { fill: none; stroke: #4493f8; } .line.theirs { fill: none; stroke: #f0883e; }
}
`

// A canvas collects the elements of a picture.
type canvas struct{ strings.Builder }

func (c *canvas) add(format string, values ...any) { fmt.Fprintf(c, format+"\n", values...) }

func (c *canvas) begin(title, alt string, height float64) {
	c.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" role="img" aria-labelledby="title alt">`,
		px(chartWidth), px(height), px(chartWidth), px(height))
	c.add(`<title id="title">%s</title>`, escaped(title))
	c.add(`<desc id="alt">%s</desc>`, escaped(alt))
	c.add(`<style>%s</style>`, chartStyle)
	c.add(`<rect class="page" width="100%%" height="100%%"/>`)
	c.text("title", 20, 30, "start", title)
}

func (c *canvas) end() string {
	c.add(`</svg>`)
	return c.String()
}

func (c *canvas) text(class string, x, y float64, anchor, text string) {
	c.add(`<text class="%s" x="%s" y="%s" text-anchor="%s">%s</text>`, class, px(x), px(y), anchor, escaped(text))
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	c.add(`<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`, class, px(x1), px(y1), px(x2), px(y2))
}

// marker is a circle for this sidecar and a square for opa.
func (c *canvas) marker(theirs bool, x, y float64) {
	if theirs {
		c.add(`<rect class="theirs" x="%s" y="%s" width="%s" height="%s"/>`, px(x-markerSize), px(y-markerSize),
			px(2*markerSize), px(2*markerSize))
		return
	}
	c.add(`<circle class="ours" cx="%s" cy="%s" r="%s"/>`, px(x), px(y), px(markerSize+0.5))
}

// px formats a coordinate with at most one decimal, so that a picture is the same on every machine.
func px(f float64) string { return strconv.FormatFloat(roundTo(f, 1), 'f', -1, 64) }

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a strings.Builder has no errors
	return b.String()
}

// A logScale maps values from lo to hi to coordinates from `from` to `to`.
type logScale struct{ lo, hi, from, to float64 }

func (s logScale) at(v float64) float64 {
	return s.from + (s.to-s.from)*(math.Log10(v)-math.Log10(s.lo))/(math.Log10(s.hi)-math.Log10(s.lo))
}

// powers returns the powers of ten that enclose values, all of which are positive.
func powers(values []float64) []float64 {
	lo, hi := math.Inf(1), 0.0
	for _, v := range values {
		lo, hi = min(lo, v), max(hi, v)
	}
	var all []float64
	for p := math.Floor(math.Log10(lo)); ; p++ {
		all = append(all, math.Pow(10, p))
		if all[len(all)-1] >= hi {
			return all
		}
	}
}

func (l lineChart) svg() string {
	var c canvas
	c.begin(l.title, l.alt, lineHeight)
	var ys []float64
	for _, s := range l.series {
		for _, p := range s.points {
			ys = append(ys, p.y)
		}
	}
	top, bottom := marginTop+10+22*float64(len(l.series)), lineHeight-56
	yTicks := powers(ys)
	x := logScale{l.xTicks[0], l.xTicks[len(l.xTicks)-1], marginLeft + 30, chartWidth - marginRight - 30}
	y := logScale{yTicks[0], yTicks[len(yTicks)-1], bottom, top}
	for _, v := range yTicks {
		c.line("grid", marginLeft, y.at(v), chartWidth-marginRight, y.at(v))
		c.text("tick", marginLeft-8, y.at(v)+4, "end", l.yText(v))
	}
	for _, v := range l.xTicks {
		c.text("tick", x.at(v), bottom+20, "middle", l.xText(v))
	}
	c.text("axis", (marginLeft+chartWidth-marginRight)/2, lineHeight-12, "middle", l.xTitle)
	c.add(`<text class="axis" transform="translate(20 %s) rotate(-90)" text-anchor="middle">%s</text>`,
		px((top+bottom)/2), escaped(l.yTitle))
	for i, s := range l.series {
		c.legend(s, marginTop+6+22*float64(i))
		c.series(s, x, y, l)
	}
	return c.end()
}

func (c *canvas) legend(s series, y float64) {
	c.line(s.class(), 20, y, 56, y)
	c.marker(s.theirs, 38, y)
	c.text("legend", 66, y+4, "start", s.name)
}

func (s series) class() string {
	class := "line ours"
	if s.theirs {
		class = "line theirs"
	}
	if s.dashed {
		class += " dashed"
	}
	return class
}

// series draws one series. The value of the lowest point of all stands below it, the others above.
func (c *canvas) series(s series, x, y logScale, l lineChart) {
	coordinates := make([]string, len(s.points))
	for i, p := range s.points {
		coordinates[i] = px(x.at(p.x)) + "," + px(y.at(p.y))
	}
	c.add(`<polyline class="%s" points="%s"/>`, s.class(), strings.Join(coordinates, " "))
	for _, p := range s.points {
		c.marker(s.theirs, x.at(p.x), y.at(p.y))
		distance := -10.0
		if p.y <= l.lowest(p.x) {
			distance = 20
		}
		c.text("value", x.at(p.x), y.at(p.y)+distance, "middle", l.yText(p.y))
	}
}

// lowest returns the smallest value at x.
func (l lineChart) lowest(x float64) float64 {
	lowest := math.Inf(1)
	for _, s := range l.series {
		for _, p := range s.points {
			if p.x == x {
				lowest = min(lowest, p.y)
			}
		}
	}
	return lowest
}

func (p pairChart) svg() string {
	const names, factor, rows = 190.0, 90.0, marginTop + 54
	height := rows + rowHeight*float64(len(p.pairs)) + 66
	var c canvas
	c.begin(p.title, p.alt, height)
	var values []float64
	for _, one := range p.pairs {
		values = append(values, one.ours, one.theirs)
	}
	ticks := powers(values)
	x := logScale{ticks[0], ticks[len(ticks)-1], names, chartWidth - factor}
	bottom := rows + rowHeight*float64(len(p.pairs))
	for _, v := range ticks {
		c.line("grid", x.at(v), rows, x.at(v), bottom)
		c.text("tick", x.at(v), bottom+20, "middle", p.xText(v))
	}
	c.text("axis", (names+chartWidth-factor)/2, height-14, "middle", p.xTitle)
	for i, name := range []string{"this sidecar", "opa, the best of three settings"} {
		c.marker(i == 1, 38, marginTop+6+22*float64(i))
		c.text("legend", 56, marginTop+10+22*float64(i), "start", name)
	}
	c.text("tick", chartWidth-20, rows-8, "end", "opa : sidecar")
	for i, one := range p.pairs {
		y := rows + rowHeight*(float64(i)+0.5)
		c.text("tick", names-14, y+4, "end", one.name)
		c.line("gap", x.at(one.ours), y, x.at(one.theirs), y)
		c.marker(false, x.at(one.ours), y)
		c.marker(true, x.at(one.theirs), y)
		c.text("value", chartWidth-20, y+4, "end", number(one.theirs/one.ours)+" ×")
	}
	return c.end()
}

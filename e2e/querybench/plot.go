package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"

	"github.com/hubring/hubring/e2e/querybench/internal/ask"
)

const (
	plotWidth             = 1120
	plotLeft, plotRight   = 300.0, 1060.0
	plotTop               = 96.0
	barHeight, groupSpace = 9.0, 9.0

	ink, faint, pale = "#1f2933", "#7b8794", "#e4e7eb"
)

// colours are those of the systems, in their order, and again with more of them.
var colours = []string{"#2f6fb0", "#d68a2e", "#3f9b63", "#b4466b", "#6d5bb0", "#3aa0a8", "#8a7a3a", "#9aa5b1", "#c2573a", "#52606d"}

// drawing is an SVG in the making.
type drawing struct{ bytes.Buffer }

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(&d.Buffer, format+"\n", args...) }

// text writes at a baseline; the anchor is start, middle or end.
func (d *drawing) text(x, y, size float64, anchor, colour, text string) {
	var escaped bytes.Buffer
	if err := xml.EscapeText(&escaped, []byte(text)); err != nil {
		panic("BUG: a buffer refused to grow: " + err.Error())
	}
	d.add(`<text x="%.1f" y="%.1f" font-size="%g" text-anchor="%s" fill="%s">%s</text>`, x, y, size, anchor, colour, escaped.String())
}

func (d *drawing) line(x1, y1, x2, y2 float64, colour string) {
	d.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`, x1, y1, x2, y2, colour)
}

// draw draws how many times faster than one Prometheus each system is, by query, in a scale
// in which twice as fast and half as fast are equally far from 1.
func (b *bench) draw() []byte {
	queries, _ := b.split()
	others := b.columns[1:]
	group := groupSpace + barHeight*float64(len(others))
	bottom := plotTop + group*float64(len(queries))
	height := bottom + 40
	low, high := b.scale(queries)
	at := func(ratio float64) float64 {
		return plotLeft + (plotRight-plotLeft)*(math.Log2(ratio)-low)/(high-low)
	}

	var d drawing
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" width="%d" height="%.0f" font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif">`,
		plotWidth, height, plotWidth, height)
	d.add(`<rect width="100%%" height="100%%" fill="#ffffff"/>`)
	d.text(24, 34, 20, "start", ink, "How many times faster than one Prometheus")
	d.text(24, 54, 12, "start", faint, fmt.Sprintf("CPU on the critical path, slowest shard and merging; %d series", b.hall.set.SeriesCount()))
	x := plotLeft
	for i, col := range others {
		d.add(`<rect x="%.1f" y="66" width="12" height="12" fill="%s"/>`, x, colours[i%len(colours)])
		d.text(x+16, 76, 12, "start", ink, col.name)
		x += 60
	}
	for power := low; power <= high; power++ {
		ratio := math.Exp2(power)
		colour := pale
		if power == 0 {
			colour = ink
		}
		d.line(at(ratio), plotTop-6, at(ratio), bottom, colour)
		d.text(at(ratio), bottom+16, 11, "middle", faint, fmt.Sprintf("%g×", ratio))
	}
	for i, q := range queries {
		y := plotTop + group*float64(i)
		d.text(plotLeft-10, y+group/2+1, 12, "end", ink, q.Name)
		for k, col := range others {
			if c := col.cells[q.Name]; c.failed == "" {
				d.bar(y+barHeight*float64(k), at(1), at(bounded(c.ratio(), low, high)), colours[k%len(colours)], c.differs != "")
			}
		}
	}
	d.text(plotLeft, bottom+34, 11, "start", faint, "Hollow bars: the answer is not that of the one Prometheus.")
	d.add(`</svg>`)
	return d.Bytes()
}

// bar draws from one place to another, whichever is further to the left.
func (d *drawing) bar(y, from, to float64, colour string, hollow bool) {
	fill := colour
	if hollow {
		fill = "none"
	}
	d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" stroke="%s"/>`,
		min(from, to), y, max(1, math.Abs(to-from)), barHeight-2, fill, colour)
}

// scale is the powers of two between which all ratios are, as far as they can be drawn.
func (b *bench) scale(queries []ask.Query) (low, high float64) {
	low, high = -1, 3
	for _, col := range b.columns[1:] {
		for _, q := range queries {
			if c := col.cells[q.Name]; c.failed == "" && c.ratio() > 0 {
				power := math.Log2(c.ratio())
				low, high = min(low, max(-4, math.Floor(power))), max(high, min(6, math.Ceil(power)))
			}
		}
	}
	return low, high
}

func bounded(ratio, low, high float64) float64 {
	if !(ratio > 0) {
		return math.Exp2(low)
	}
	return math.Exp2(min(high, max(low, math.Log2(ratio))))
}

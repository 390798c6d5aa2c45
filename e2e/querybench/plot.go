package main

import (
	"fmt"
	"math"

	"github.com/hubring/hubring/e2e/querybench/internal/ask"
	"github.com/hubring/hubring/internal/svg"
)

const (
	plotWidth             = 1120
	plotLeft, plotRight   = 300.0, 1060.0
	plotTop               = 96.0
	barHeight, groupSpace = 9.0, 9.0

	pale = "#e4e7eb"
)

// colours are those of the systems, in their order, and again with more of them.
var colours = []string{"#2f6fb0", "#d68a2e", "#3f9b63", "#b4466b", "#6d5bb0", "#3aa0a8", "#8a7a3a", "#9aa5b1", "#c2573a", "#52606d"}

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

	d := svg.New(plotWidth, int(height))
	d.Text(24, 34, 20, "start", svg.Ink, "How many times faster than one Prometheus")
	d.Text(24, 54, 12, "start", svg.Faint, fmt.Sprintf("CPU on the critical path, slowest shard and merging; %d series", b.hall.set.SeriesCount()))
	x := plotLeft
	for i, col := range others {
		d.Add(`<rect x="%.1f" y="66" width="12" height="12" fill="%s"/>`, x, colours[i%len(colours)])
		d.Text(x+16, 76, 12, "start", svg.Ink, col.name)
		x += 60
	}
	for power := low; power <= high; power++ {
		ratio := math.Exp2(power)
		colour := pale
		if power == 0 {
			colour = svg.Ink
		}
		d.Add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`, at(ratio), plotTop-6, at(ratio), bottom, colour)
		d.Text(at(ratio), bottom+16, 11, "middle", svg.Faint, fmt.Sprintf("%g×", ratio))
	}
	for i, q := range queries {
		y := plotTop + group*float64(i)
		d.Text(plotLeft-10, y+group/2+1, 12, "end", svg.Ink, q.Name)
		for k, col := range others {
			if c := col.cells[q.Name]; c.failed == "" {
				bar(d, y+barHeight*float64(k), at(1), at(bounded(c.ratio(), low, high)), colours[k%len(colours)], c.differs != "")
			}
		}
	}
	d.Text(plotLeft, bottom+34, 11, "start", svg.Faint, "Hollow bars: the answer is not that of the one Prometheus.")
	return d.End()
}

// bar draws from one place to another, whichever is further to the left.
func bar(d *svg.Canvas, y, from, to float64, colour string, hollow bool) {
	fill := colour
	if hollow {
		fill = "none"
	}
	d.Add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" stroke="%s"/>`,
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

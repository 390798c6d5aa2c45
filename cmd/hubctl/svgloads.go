package main

import (
	"fmt"
	"math"

	"github.com/hubring/hubring/hashring"
)

const (
	rowHeight            = 38
	barsLeft, barsRight  = 650.0, 990.0
	barsTop              = 132.0
	barHeight            = 14.0
	beforeTone, moreTone = "#7b8794", "#52606d" // bars that stand for no single hub
)

// loadRow is a hub's bars, or those of a sum over many hubs.
type loadRow struct {
	name, label   string
	before, after float64 // series; negative if the hub is not there
}

// loadRows is a row for every hub, or three for all.
func loadRows(p *hashring.Plan) []loadRow {
	if len(p.Nodes) > maxDrawnHubs {
		return []loadRow{
			{"", "busiest hub", float64(p.Before.Most), float64(p.After.Most)},
			{"", "average", p.Before.Average, p.After.Average},
			{"", "least busy hub", float64(p.Before.Least), float64(p.After.Least)},
		}
	}
	var rows []loadRow
	_, suffix := inCommon(p) // the domain of a StatefulSet's hubs
	for _, n := range p.Nodes {
		row := loadRow{n.Name, n.Name[:len(n.Name)-suffix], float64(n.Before.Series), float64(n.After.Series)}
		if n.Before.Weight == 0 {
			row.before = -1
		}
		if n.After.Weight == 0 {
			row.after = -1
		}
		rows = append(rows, row)
	}
	return rows
}

// drawLoads draws two bars for each row, and the averages as lines through all.
func drawLoads(c canvas, p *hashring.Plan, rows []loadRow) {
	most := 1.0
	for _, r := range rows {
		most = max(most, r.before, r.after)
	}
	at := func(series float64) float64 { return barsLeft + (barsRight-barsLeft)*series/most }
	c.Text(barsLeft, 44, 16, "start", ink, "Series of each hub")
	c.Text(barsLeft, 66, 12, "start", faint, fmt.Sprintf("above its share at most %s before and %s after", grouped(p.Before.Above), grouped(p.After.Above)))

	colours := hubColours(p)
	bottom := barsTop + float64(rowHeight*len(rows)) + 2
	for i, r := range rows {
		y := barsTop + float64(rowHeight*i)
		pale, strong := beforeTone, moreTone
		if colour := colours[r.name]; colour != "" {
			pale, strong = colour, colour
		}
		c.Text(barsLeft-12, y+barHeight+5, 13, "end", ink, abbreviated(r.label, 16))
		c.bar(y, r.before, at, pale, 0.45, "joins")
		c.bar(y+barHeight+1, r.after, at, strong, 1, "leaves")
	}
	c.average(p.Before.Average, at, barsTop-8, bottom, barsTop-14, "4 3", "average before "+grouped(int(math.Round(p.Before.Average))))
	c.average(p.After.Average, at, barsTop-8, bottom, bottom+16, "", "average after "+grouped(int(math.Round(p.After.Average))))
	c.Text(barsLeft, bottom+38, 12, "start", faint, "upper, pale bar: before; lower bar: after")
}

// bar draws one bar with its number in a column to the right of all, or a
// word in its place if there is none.
func (c canvas) bar(y, series float64, at func(float64) float64, colour string, opacity float64, absent string) {
	if series < 0 {
		c.Text(barsLeft+4, y+barHeight-3, 11, "start", faint, absent)
		return
	}
	c.Add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%g" fill="%s" fill-opacity="%g"/>`, barsLeft, y, at(series)-barsLeft, barHeight, colour, opacity)
	c.Text(barsRight+90, y+barHeight-3, 12, "end", ink, grouped(int(math.Round(series))))
}

// average draws a line from top to bottom with its name at the given height,
// beside the line where there is more room.
func (c canvas) average(series float64, at func(float64) float64, top, bottom, labelY float64, dashes, label string) {
	x := at(series)
	c.Add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="1.5" stroke-dasharray="%s"/>`, x, top, x, bottom, ink, dashes)
	anchor := "middle"
	if x < barsLeft+90 {
		anchor, x = "start", barsLeft
	}
	c.Text(x, labelY, 12, anchor, ink, label)
}

package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/internal/svg"
)

const (
	svgWidth = 1120
	// maxDrawnHubs is how many hubs have a colour and bars of their own; with
	// more, the drawing shows what stays and what moves, and sums.
	maxDrawnHubs = 20

	ink, faint, moving = svg.Ink, svg.Faint, "#d64545"
)

// canvas is the drawing with the shapes that a plan consists of.
type canvas struct{ *svg.Canvas }

// drawPlan draws a plan: on the left the circle, whose inner band is before and
// whose outer band is after, on the right the load of each hub.
func drawPlan(p *hashring.Plan) []byte {
	rows := loadRows(p)
	height := max(560, 150+rowHeight*len(rows)+60)
	c := canvas{svg.New(svgWidth, height)}
	c.Text(32, 44, 22, "start", ink, fmt.Sprintf("From %d to %d hubs", p.Before.Nodes, p.After.Nodes))
	c.Text(32, 70, 14, "start", faint, fmt.Sprintf("%s of %s series move (%s of %s keys)",
		grouped(p.MovedSeries), grouped(p.Series), grouped(p.MovedKeys), grouped(p.Keys)))
	drawCircle(c, p, 260, float64(height)/2+22)
	drawLoads(c, p, rows)
	return c.End()
}

// flow is a part of the circle: series that one hub has before and one, or the same, after.
type flow struct {
	from, to string // to is empty for all that leaves, if there are too many hubs to tell apart
	series   int
}

// flows cuts the circle up: hub by hub, for each first what stays with it.
func flows(p *hashring.Plan) []flow {
	var all []flow
	for _, n := range p.Nodes {
		stays := flow{n.Name, n.Name, n.Before.Series}
		var moves []flow
		for _, m := range p.Moves {
			if m.From == n.Name {
				stays.series -= m.Series
				moves = append(moves, flow{m.From, m.To, m.Series})
			}
		}
		if len(p.Nodes) > maxDrawnHubs && len(moves) > 0 {
			sum := flow{n.Name, "", n.Before.Series - stays.series}
			moves = []flow{sum}
		}
		all = append(append(all, stays), moves...)
	}
	return all
}

const (
	outerRadius, bandGap, innerRadius, holeRadius = 210.0, 150.0, 144.0, 96.0
	// Smaller parts have no room for a name.
	innerLabelAngle, outerLabelAngle = 0.20, 0.11
)

func drawCircle(c canvas, p *hashring.Plan, x, y float64) {
	colours := hubColours(p)
	short := shortNames(p)
	few := len(p.Nodes) <= maxDrawnHubs
	angle, beforeAngle := 0.0, 0.0
	var labels svg.Canvas
	label := func(r, from, to float64, text string) {
		middle := (from+to)/2 - math.Pi/2
		labels.Text(x+r*math.Cos(middle), y+r*math.Sin(middle)+4.5, 13, "middle", "#ffffff", text)
	}
	all := flows(p)
	for i, f := range all {
		to := angle + 2*math.Pi*float64(f.series)/float64(max(p.Series, 1))
		colour := colours[f.to]
		if f.to == "" {
			colour = moving
		}
		c.band(x, y, outerRadius, bandGap, angle, to, colour, few)
		if few && to-angle > outerLabelAngle {
			label((outerRadius+bandGap)/2, angle, to, short[f.to])
		}
		angle = to
		if i+1 == len(all) || all[i+1].from != f.from {
			c.band(x, y, innerRadius, holeRadius, beforeAngle, angle, colours[f.from], few)
			if few && angle-beforeAngle > innerLabelAngle {
				label((innerRadius+holeRadius)/2, beforeAngle, angle, short[f.from])
			}
			beforeAngle = angle
		}
	}
	c.Write(labels.Bytes())
	c.Text(x, y-4, 30, "middle", ink, percent(p.MovedShare))
	c.Text(x, y+18, 14, "middle", ink, "of the series move")
	c.Text(x, y+40, 12, "middle", faint, "even shares need "+percent(p.LeastShare))
	legend := "inner band: home before, outer band: home after"
	if !few {
		legend = "inner band: before, outer band: what stays (grey) and what moves (red)"
	}
	c.Text(x, y+outerRadius+28, 12, "middle", faint, legend)
}

// band draws a part of a ring between two angles, clockwise from the top.
func (c canvas) band(x, y, outer, inner, from, to float64, colour string, edged bool) {
	if to-from < 1e-9 {
		return
	}
	to = min(to, from+2*math.Pi-1e-4) // the whole circle would begin where it ends
	at := func(r, angle float64) string {
		return fmt.Sprintf("%.2f %.2f", x+r*math.Sin(angle), y-r*math.Cos(angle))
	}
	large := 0
	if to-from > math.Pi {
		large = 1
	}
	edge := ""
	if edged {
		edge = ` stroke="#ffffff" stroke-width="1"`
	}
	c.Add(`<path d="M %s A %g %g 0 %d 1 %s L %s A %g %g 0 %d 0 %s Z" fill="%s"%s/>`,
		at(outer, from), outer, outer, large, at(outer, to), at(inner, to), inner, inner, large, at(inner, from), colour, edge)
}

// hubColours gives each hub a colour that differs much from those of its neighbours.
func hubColours(p *hashring.Plan) map[string]string {
	colours := map[string]string{}
	for i, n := range p.Nodes {
		if len(p.Nodes) > maxDrawnHubs {
			colours[n.Name] = []string{"#9aa5b1", "#b4bec9"}[i%2]
			continue
		}
		// The golden angle never comes near the same hue soon; the lightness tells
		// apart those that do.
		colours[n.Name] = hslHex(math.Mod(212+float64(i)*137.508, 360), 0.52, []float64{0.45, 0.50, 0.37}[i%3])
	}
	return colours
}

// hslHex converts a hue in degrees, saturation and lightness to #rrggbb.
func hslHex(hue, saturation, lightness float64) string {
	channel := func(n float64) int {
		k := math.Mod(n+hue/30, 12)
		a := saturation * min(lightness, 1-lightness)
		return int(math.Round(255 * (lightness - a*max(-1, min(k-3, 9-k, 1)))))
	}
	return fmt.Sprintf("#%02x%02x%02x", channel(0), channel(8), channel(4))
}

// shortNames leaves out what all names have in common, so that they fit into the circle.
func shortNames(p *hashring.Plan) map[string]string {
	short := map[string]string{}
	prefix, suffix := inCommon(p)
	for _, n := range p.Nodes {
		short[n.Name] = abbreviated(n.Name[prefix:len(n.Name)-suffix], 4)
	}
	return short
}

// inCommon is how many bytes of all names are alike at the beginning, up to a
// separator, and at the end, from a dot on. Of a single name nothing is.
func inCommon(p *hashring.Plan) (prefix, suffix int) {
	if len(p.Nodes) < 2 {
		return 0, 0
	}
	first := p.Nodes[0].Name
	head, tail := first, first
	for _, n := range p.Nodes {
		for !strings.HasPrefix(n.Name, head) {
			head = head[:len(head)-1]
		}
		for !strings.HasSuffix(n.Name, tail) {
			tail = tail[1:]
		}
	}
	head = head[:strings.LastIndexAny(head, "-._")+1]
	if dot := strings.IndexByte(tail, '.'); dot >= 0 {
		tail = tail[dot:]
	} else {
		tail = ""
	}
	for _, n := range p.Nodes {
		if len(head)+len(tail) >= len(n.Name) {
			return 0, 0
		}
	}
	return len(head), len(tail)
}

// abbreviated cuts s to a number of characters.
func abbreviated(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

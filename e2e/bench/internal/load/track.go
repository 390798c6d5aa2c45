package load

import (
	"bytes"
	"strconv"
)

// Track is what was accepted of one series, in the order in which it was pushed.
type Track struct {
	Series string // as it is written, which is a selector in PromQL, too
	Points []Point
}

// Point is one sample of a series. Time is in milliseconds since the epoch.
type Point struct {
	Time  int64
	Value float64
}

// Tracks returns what was accepted of some series: the last one of each push.
// Do not push meanwhile.
func (l *Load) Tracks() []Track {
	var out []Track
	for _, lane := range l.lanes {
		for _, p := range lane.pushes {
			if len(p.track.Points) > 0 {
				out = append(out, p.track)
			}
		}
	}
	return out
}

// note notes that the push was accepted with a time.
func (p *Push) note(ms int64) {
	line := bytes.TrimSuffix(p.Body(), []byte{'\n'})
	line = line[bytes.LastIndexByte(line, '\n')+1:]
	series, rest, _ := bytes.Cut(line, []byte("} "))
	value, _, _ := bytes.Cut(rest, []byte{' '})
	number, err := strconv.ParseFloat(string(value), 64)
	if err != nil {
		panic("BUG: a prepared line has no number: " + string(line))
	}
	p.track.Series = string(series) + "}"
	p.track.Points = append(p.track.Points, Point{Time: ms, Value: number})
}

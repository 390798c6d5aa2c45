// Package svg writes drawings.
package svg

import (
	"bytes"
	"encoding/xml"
	"fmt"
)

// The colours of what is written: what matters, and what only explains.
const (
	Ink   = "#1f2933"
	Faint = "#7b8794"
)

// Canvas is an SVG in the making: New begins one and End ends it. The zero value is a part of
// one, to be written into it later.
type Canvas struct{ bytes.Buffer }

// New begins a drawing on white.
func New(width, height int) *Canvas {
	c := &Canvas{}
	c.Add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif">`, width, height, width, height)
	c.Add(`<rect width="100%%" height="100%%" fill="#ffffff"/>`)
	return c
}

// End returns the drawing.
func (c *Canvas) End() []byte {
	c.Add(`</svg>`)
	return c.Bytes()
}

// Add writes an element on a line of its own.
func (c *Canvas) Add(format string, args ...any) { fmt.Fprintf(&c.Buffer, format+"\n", args...) }

// Text writes at a baseline; the anchor is start, middle or end.
func (c *Canvas) Text(x, y, size float64, anchor, colour, text string) {
	c.Add(`<text x="%.1f" y="%.1f" font-size="%g" text-anchor="%s" fill="%s">%s</text>`, x, y, size, anchor, colour, escaped(text))
}

func escaped(s string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		panic("BUG: a buffer refused to grow: " + err.Error())
	}
	return b.String()
}

package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progress shows how far a long command is: as a bar that is drawn over itself
// on a terminal, as a line for each step elsewhere.
type progress struct {
	out         io.Writer
	live        bool
	done, total int
	step        string
	drawn       time.Time
}

func newProgress(t terminal, total int) *progress {
	return &progress{out: t.err, live: t.live, total: total}
}

// title begins a step.
func (p *progress) title(step string) {
	p.step = step
	if p.live {
		p.draw()
	} else {
		fmt.Fprintf(p.out, "%3d %% %s\n", 100*p.done/p.total, step)
	}
}

func (p *progress) add(n int) {
	p.done += n
	if p.live && time.Since(p.drawn) > 100*time.Millisecond {
		p.draw()
	}
}

func (p *progress) draw() {
	const width = 30
	p.drawn = time.Now()
	full := min(width, width*p.done/p.total)
	fmt.Fprintf(p.out, "\r\x1b[K[%s%s] %3d %% %s", strings.Repeat("#", full), strings.Repeat("-", width-full), 100*p.done/p.total, p.step)
}

// clear takes the bar away, before the result is written.
func (p *progress) clear() {
	if p.live {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

package web

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestPaceFitsTheTimeout(t *testing.T) {
	const most = 2_000_000
	p := newPace(most)
	steps := []struct {
		what string
		do   func()
		want int
	}{
		{"a small scrape says little", func() { p.took(100, 9*time.Second, 10*time.Second) }, most},
		{"all of it fits easily", func() { p.took(most, time.Second, 10*time.Second) }, most},
		{"it only just fitted", func() { p.took(most, 9*time.Second, 10*time.Second) }, most * 10 / 2 / 9},
		{"then it fits again: twice as many", func() { p.took(500_000, time.Second, 10*time.Second) }, most * 10 / 2 / 9},
		{"cut off", func() { p.cutOff(1_000_000) }, 500_000},
		{"cut off again", func() { p.cutOff(500_000) }, 250_000},
		{"one that was begun before", func() { p.cutOff(1_000_000) }, 250_000},
		{"it fits: twice as many", func() { p.took(250_000, time.Second, 10*time.Second) }, 500_000},
		{"as much as there was, not all that it might have", func() { p.took(20_000, time.Millisecond, 10*time.Second) }, 500_000},
		{"nearly nothing gets through", func() { p.cutOff(15) }, smallestBite},
		{"and not that either", func() { p.cutOff(5000) }, smallestBite},
	}
	for _, step := range steps {
		step.do()
		assert.Equal(t, step.want, p.size, step.what)
	}
	small := newPace(5)
	small.cutOff(5)
	assert.Equal(t, 5, small.size, "a bite of what is configured is as small as it gets")
}

// offered is a response that was written to a scraper within a part of its time.
func (d *doors) offered() (*line, *response) {
	q, err := d.parse(aScrape())
	assert.NoError(d.t, err)
	l := d.lines.line(q)
	resp := l.prepare(aScrape(), q, time.Now(), true)
	l.offered(resp, time.Millisecond)
	return l, resp
}

// Only a response that was not written whole, or not in time, makes the next one smaller. One
// that was and did not arrive says nothing about how much its scraper takes.
func TestWhatMakesResponsesSmaller(t *testing.T) {
	const samples = 4 * smallestBite
	for _, c := range []struct {
		came    arrival
		elapsed time.Duration
		want    int
	}{
		{cutOff, time.Millisecond, samples / 2},
		{unread, time.Hour, samples / 2},
		{unread, time.Millisecond, 1 << 20},
		{arrived, time.Millisecond, 1 << 20},
	} {
		d := newDoors(t)
		d.push(manyLines("x", samples))
		l, resp := d.offered()
		resp.elapsed = c.elapsed
		l.evidence(resp, c.came)
		assert.Equal(t, c.want, l.pace.size, "%v, written in %v", c.came, c.elapsed)
	}
}

// A bite that was made small grows again, also where some of its samples are
// too old to be written.
func TestBiteGrowsDespiteSamplesThatAreTooOld(t *testing.T) {
	d := newDoors(t)
	d.push(at("slow_clock", time.Now().Add(-2*time.Hour)))
	d.push(manyLines("x", 2*smallestBite))
	l, resp := d.offered()
	l.pace.cutOff(smallestBite)
	l.evidence(resp, unread)
	_, resp = d.offered()
	assert.Equal(t, smallestBite, resp.tally.Passed)
	assert.Equal(t, 1, resp.tally.TooOld)
	l.evidence(resp, arrived)
	assert.Equal(t, 2*smallestBite, l.pace.size)
}

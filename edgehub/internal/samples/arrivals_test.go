package samples

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestArrivals(t *testing.T) {
	var a arrivals
	_, known := a.of(0)
	assert.False(t, known)
	of := func(position uint64) int64 { at, _ := a.of(position); return at.Milliseconds() }
	for i := range uint64(10) { // ten samples a half second
		a.note(10*i, time.Duration(i*500+1)*time.Millisecond)
	}
	for position, want := range map[uint64]int64{0: 1, 19: 1, 20: 1001, 45: 2001, 99: 4001} {
		assert.Equal(t, want, of(position), "position %d", position)
	}
	a.forget(45)
	assert.EqualValues(t, 2001, of(45))
	assert.Len(t, a.marks, 3)
}

// What waits for days is remembered more coarsely, in bounded memory.
func TestArrivalsAreBounded(t *testing.T) {
	var a arrivals
	const seconds = 20 * maxArrivals
	for i := range uint64(seconds) {
		a.note(i, time.Duration(i)*arrivalStep)
	}
	assert.LessOrEqual(t, len(a.marks), maxArrivals)
	first, _ := a.of(0)
	assert.Zero(t, first)
	middle, _ := a.of(seconds / 2)
	assert.InDelta(t, seconds*arrivalStep/2, middle, float64(seconds*arrivalStep/100))
	assert.LessOrEqual(t, middle, seconds*arrivalStep/2)
}

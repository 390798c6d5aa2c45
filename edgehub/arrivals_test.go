package edgehub

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestArrivals(t *testing.T) {
	var a arrivals
	assert.Zero(t, a.of(0))
	for i := range uint64(10) { // ten samples a half second
		a.note(10*i, int64(i)*500+1)
	}
	for position, want := range map[uint64]int64{0: 1, 19: 1, 20: 1001, 45: 2001, 99: 4001} {
		assert.Equal(t, want, a.of(position), "position %d", position)
	}
	a.forget(45)
	assert.EqualValues(t, 2001, a.of(45))
	assert.Len(t, a.marks, 3)
}

// What waits for days is remembered more coarsely, in bounded memory.
func TestArrivalsAreBounded(t *testing.T) {
	var a arrivals
	const seconds = 20 * maxArrivals
	for i := range uint64(seconds) {
		a.note(i, int64(i)*arrivalStep)
	}
	assert.LessOrEqual(t, len(a.marks), maxArrivals)
	assert.Zero(t, a.of(0))
	assert.InDelta(t, seconds*arrivalStep/2, a.of(seconds/2), seconds*arrivalStep/100)
	assert.LessOrEqual(t, a.of(seconds/2), int64(seconds*arrivalStep/2))
}

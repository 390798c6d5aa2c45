package edgehub

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A scraper that was away catches up in bites, the oldest first.
func TestBitesAreBoundedAndOldestFirst(t *testing.T) {
	s := serve(t, Config{MaxScrapeSamples: 10})
	for i := range int64(5) {
		s.push(string(fleet(5, 1, base+i)))
	}
	for _, want := range [][]int64{{0, 1}, {2, 3}, {4}, nil} {
		body := s.scrape()
		assert.Equal(t, 5*len(want), strings.Count(body, "gatewayID"))
		for _, i := range want {
			assert.Equal(t, 5, strings.Count(body, fmt.Sprintf(" %d\n", base+i)))
		}
	}
	assert.EqualValues(t, 25, s.Stats().Scraped)
}

// So does one part of several: what counts are its own samples.
func TestBitesOfAPart(t *testing.T) {
	s := serve(t, Config{MaxScrapeSamples: 10})
	for i := range int64(20) {
		s.push(string(fleet(20, 1, base+i)))
	}
	for part := 1; part <= 2; part++ {
		sum := 0
		for {
			n := strings.Count(s.get(partPath(part, 2, "&drain=1")), "gatewayID")
			if sum += n; n < 10 {
				break
			}
			assert.Equal(t, 10, n)
		}
		assert.NotZero(t, sum)
	}
	s.get("/-/ready")
	assert.EqualValues(t, 400, s.Stats().Scraped)
	assert.Zero(t, s.Stats().Pending)
}

func TestBiteFitsTheTimeout(t *testing.T) {
	const most = 2_000_000
	b := newBite(most)
	steps := []struct {
		what string
		do   func()
		want int
	}{
		{"a small scrape says little", func() { b.took(100, 9*time.Second, 10*time.Second) }, most},
		{"all of it fits easily", func() { b.took(most, time.Second, 10*time.Second) }, most},
		{"it only just fitted", func() { b.took(most, 9*time.Second, 10*time.Second) }, most * 10 / 2 / 9},
		{"then it fits again: twice as many", func() { b.took(500_000, time.Second, 10*time.Second) }, most * 10 / 2 / 9},
		{"cut off", func() { b.cutOff(1_000_000) }, 500_000},
		{"cut off again", func() { b.cutOff(500_000) }, 250_000},
		{"one that was begun before", func() { b.cutOff(1_000_000) }, 250_000},
		{"it fits: twice as many", func() { b.took(250_000, time.Second, 10*time.Second) }, 500_000},
		{"as much as there was, not all that it might have", func() { b.took(20_000, time.Millisecond, 10*time.Second) }, 500_000},
		{"nearly nothing gets through", func() { b.cutOff(15) }, smallestBite},
		{"and not that either", func() { b.cutOff(5000) }, smallestBite},
	}
	for _, step := range steps {
		step.do()
		assert.Equal(t, step.want, b.size, step.what)
	}
	small := newBite(5)
	small.cutOff(5)
	assert.Equal(t, 5, small.size, "a bite of what is configured is as small as it gets")
}

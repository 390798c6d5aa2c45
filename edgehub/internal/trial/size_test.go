package trial

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSizeIsSearched(t *testing.T) {
	s := newSize(1_000_000)
	steps := []struct {
		what string
		do   func()
		want int
	}{
		{"stored in full", func() { s.stored(1_000_000) }, 1_000_000},
		{"refused, and no reason given", func() { s.refused(1_000_000, false) }, 250_000},
		{"refused again", func() { s.refused(250_000, false) }, 62_500},
		{"the first that is stored: perhaps it was the server", func() { s.stored(62_500) }, 1_000_000},
		{"it was not: between the two", func() { s.refused(1_000_000, false) }, 250_000},
		{"stored: a little more", func() { s.stored(250_000) }, 500_000},
		{"a small one says nothing", func() { s.stored(10) }, 500_000},
		{"refused", func() { s.refused(500_000, false) }, 353_553},
		{"refused", func() { s.refused(353_553, false) }, 297_301},
		{"stored", func() { s.stored(297_301) }, 324_209},
		{"refused", func() { s.refused(324_209, false) }, 310_463},
		{"stored: near enough", func() { s.stored(310_463) }, 310_463},
		{"29 more", func() { stored(&s, 28) }, 310_463},
		{"the 30th: an eighth more is tried", func() { stored(&s, 1) }, 310_463 * 9 / 8},
		{"refused: back", func() { s.refused(349_270, true) }, 329_295},
		{"refused", func() { s.refused(329_295, true) }, 310_463},
		{"now it takes longer until more is tried", func() { stored(&s, 59) }, 310_463},
		{"and it is stored: two eighths more", func() { stored(&s, 2) }, 436_587},
		{"then twice as many, and all", func() { stored(&s, 2) }, 1_000_000},
		{"all is stored, all is forgotten", func() { stored(&s, 1) }, 1_000_000},
		{"refused for its size: half", func() { s.refused(400_000, true) }, 200_000},
		{"down to", func() { s.refused(200_000, true) }, 100_000},
		{"one", func() { refused(&s, 20) }, 1},
		{"it is mended", func() { stored(&s, 100) }, 1_000_000},
	}
	for _, step := range steps {
		step.do()
		assert.Equal(t, step.want, s.now, step.what)
	}
}

// stored makes so many responses be stored, as large as they may be.
func stored(s *size, times int) {
	for range times {
		s.stored(s.now)
	}
}

func refused(s *size, times int) {
	for range times {
		s.refused(s.now, true)
	}
}

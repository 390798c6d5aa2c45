package edgehub

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/exposition"
)

// misses is how many lines of a body are not guessed.
func misses(t *testing.T, h *Hub, body string) int {
	t.Helper()
	var scanner exposition.Scanner
	scanner.Reset([]byte(body))
	index := h.table.Load().index
	var lines chain
	missed := 0
	for {
		expected, guess := "", lines.guess()
		if guess != 0 {
			expected = index.at(guess).raw
		}
		kind := scanner.Next(expected)
		if kind == exposition.End {
			require.NoError(t, scanner.Err())
			return missed
		}
		if kind == exposition.Repeated || kind == exposition.Sample && scanner.Guessed() {
			lines.follow(guess, index.at(guess), true)
			continue
		}
		missed++
		number := index.find(index.hash(scanner.Spelling()), scanner.Spelling())
		require.NotZero(t, number)
		lines.follow(number, index.at(number), false)
	}
}

// A sender that repeats itself is guessed on every line but the first series and a comment before it, also where
// many senders share the TYPE and HELP lines between their series.
func TestEachLineGuessesTheNext(t *testing.T) {
	h := newHub(t, Config{})
	report := func(gateway string) string {
		return string(bytes.ReplaceAll(fleet(1, 5, base), []byte("gw0000"), []byte(gateway)))
	}
	bodies := []string{report("a"), report("b"), report("c"), "x 1\ny 1\n", "# a comment\nz 1\n\n# TYPE y counter\nx 1\n"}
	for range 2 {
		for _, body := range bodies {
			ingestAt(t, h, []byte(body))
		}
	}
	for _, body := range bodies {
		assert.LessOrEqual(t, misses(t, h, body), 2, body)
	}
	together := strings.Join(bodies[:3], "")
	ingestAt(t, h, []byte(together))
	assert.LessOrEqual(t, misses(t, h, together), 2)
	assert.LessOrEqual(t, misses(t, h, bodies[1]), 2)
}

// A sender that leaves its comments out is guessed as well, and again when it
// sends them.
func TestCommentsMayGo(t *testing.T) {
	h := newHub(t, Config{})
	with := string(fleet(2, 5, base))
	var without strings.Builder
	for line := range strings.Lines(with) {
		if line[0] != '#' {
			without.WriteString(line)
		}
	}
	for range 2 {
		for range 2 {
			ingestAt(t, h, []byte(with))
		}
		assert.LessOrEqual(t, misses(t, h, with), 2)
		for range 2 {
			ingestAt(t, h, []byte(without.String()))
		}
		assert.LessOrEqual(t, misses(t, h, without.String()), 1)
	}
}

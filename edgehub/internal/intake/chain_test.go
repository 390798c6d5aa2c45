package intake

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/exposition"
)

// fleet is the body of a push with the same series for each gateway.
func fleet(families int, gateways ...string) string {
	var b strings.Builder
	for f := range families {
		fmt.Fprintf(&b, "# HELP metric_%d_total What gateways count.\n# TYPE metric_%d_total counter\n", f, f)
		for _, g := range gateways {
			fmt.Fprintf(&b, "metric_%d_total{gatewayID=%q,service=\"mme\"} %d\n", f, g, f)
		}
	}
	return b.String()
}

// misses is how many lines of a body are not guessed.
func (f *filled) misses(body string) int {
	f.t.Helper()
	var scanner exposition.Scanner
	scanner.Reset([]byte(body))
	index := f.store.Table().Index
	spellings := index.Reader()
	var lines series.Chain
	missed := 0
	for {
		guess, known := lines.Guess(), 0
		if guess != 0 {
			known = spellings.Begins(scanner.Rest(), spellings.At(guess))
		}
		kind := scanner.Next(known)
		if kind == exposition.End {
			require.NoError(f.t, scanner.Err())
			return missed
		}
		if kind == exposition.Repeated || kind == exposition.Sample && scanner.Guessed() {
			lines = lines.Follow(index.At(guess))
			continue
		}
		missed++
		number := index.Find(series.Text, index.Hash(series.Text, scanner.Spelling()), scanner.Spelling())
		require.NotZero(f.t, number)
		lines.Learn(number, index.At(number))
		lines = lines.Follow(index.At(number))
	}
}

// A sender that repeats itself is guessed on every line but the first series and a comment before it, also where
// many senders share the TYPE and HELP lines between their series.
func TestEachLineGuessesTheNext(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	bodies := []string{fleet(5, "a"), fleet(5, "b"), fleet(5, "c"), "x 1\ny 1\n", "# a comment\nz 1\n\n# TYPE y counter\nx 1\n"}
	for range 2 {
		for _, body := range bodies {
			f.push(body)
		}
	}
	for _, body := range bodies {
		assert.LessOrEqual(t, f.misses(body), 2, body)
	}
	together := strings.Join(bodies[:3], "")
	f.push(together)
	assert.LessOrEqual(t, f.misses(together), 2)
	assert.LessOrEqual(t, f.misses(bodies[1]), 2)
}

// A sender that leaves its comments out is guessed as well, and again when it
// sends them.
func TestCommentsMayGo(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	with := fleet(5, "a", "b")
	var without strings.Builder
	for line := range strings.Lines(with) {
		if line[0] != '#' {
			without.WriteString(line)
		}
	}
	for range 2 {
		for range 2 {
			f.push(with)
		}
		assert.LessOrEqual(t, f.misses(with), 2)
		for range 2 {
			f.push(without.String())
		}
		assert.LessOrEqual(t, f.misses(without.String()), 1)
	}
}

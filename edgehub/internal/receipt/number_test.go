package receipt

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestNumbersAscend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var before Number
		clock := rapid.Int64Range(0, 1e16).Draw(t, "microseconds")
		for range rapid.IntRange(1, 3).Draw(t, "processes") {
			var n Numbers
			for range rapid.IntRange(1, 20).Draw(t, "responses") {
				// The clock may be set back while a process lives.
				got := n.Next(time.UnixMicro(clock - rapid.Int64Range(0, 100).Draw(t, "back")))
				require.Greater(t, got, before)
				before = got
			}
			clock = int64(before) + 1000 // a restart takes longer than to give out numbers
		}
	})
}

func TestNumbersAreExactInSamples(t *testing.T) {
	year := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, now := range []time.Time{year, time.Unix(1_800_000_000, 123_456_789)} {
		var n Numbers
		for range 3 {
			want := n.Next(now)
			f, err := strconv.ParseFloat(want.String(), 64)
			require.NoError(t, err)
			// As servers write it, and as it might be written with an exponent.
			for _, text := range []string{want.String(), strconv.FormatFloat(f, 'f', -1, 64), strconv.FormatFloat(f, 'e', -1, 64)} {
				got, ok := parseNumber(text)
				assert.True(t, ok, text)
				assert.Equal(t, want, got)
			}
		}
	}
}

func TestOtherValuesAreNoNumbers(t *testing.T) {
	for _, text := range []string{"", "NaN", "+Inf", "-1", "0", "1.5", "9007199254740992", "x"} {
		_, ok := parseNumber(text)
		assert.False(t, ok, text)
	}
}

func TestNumbersGiveNoneTwice(t *testing.T) {
	var n Numbers
	var mu sync.Mutex
	seen := make(map[Number]bool)
	var all sync.WaitGroup
	now := time.Now()
	for range 8 {
		all.Go(func() {
			for range 500 {
				got := n.Next(now)
				mu.Lock()
				seen[got] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	assert.Len(t, seen, 4000)
}

func TestSelector(t *testing.T) {
	check := func(l Labels, want string) { assert.Equal(t, want, l.selector()) }
	check(Labels{}, `edgehub_receipt{cursor="",part=""}`)
	check(Labels{"a", "2/10"}, `edgehub_receipt{cursor="a",part="2/10"}`)
	check(Labels{Cursor: `a"\b`}, `edgehub_receipt{cursor="a\"\\b",part=""}`)
}

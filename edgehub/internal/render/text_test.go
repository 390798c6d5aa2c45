package render

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var base = time.Now().UnixMilli() - 60_000

// Whatever was written before, each timestamp is written as strconv does.
func TestStampsAreExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var c stampCache
	times := []int64{0, -1, 1, 99_999, 100_000, 99_999, -100_000, math.MaxInt64, math.MinInt64, base, base, 999_999, 1_000_000, 0}
	for range 10_000 {
		times = append(times, base+r.Int64N(300_000)-150_000)
		if r.IntN(10) == 0 {
			times = append(times, int64(r.Uint64())>>r.IntN(64))
		}
	}
	for _, ms := range times {
		require.Equal(t, " "+strconv.FormatInt(ms, 10)+"\n", string(c.append(nil, ms)))
	}
}

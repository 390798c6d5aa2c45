package moves

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMarkersOfMoves(t *testing.T) {
	k := &Known{Moved: map[string][]Begin{
		"moved":    {{"0", 1000}, {"1", 5000}},
		"returned": {{"0", 1000}, {"1", 5000}, {"0", 9000}},
		"hung":     {{"0", 1000}, {"1", 5000}, {"0", 5000}, {"0", 9000}}, // it took something in again
		"handed":   {{"0", 1000}, {"2", 3000}, {"1", 5000}},              // what hub 0 still had of it went to hub 2, which was told when it left
	}}
	for _, c := range []struct {
		gateway, on string
		at          int64
		want        bool
	}{
		{"moved", "0", 4999, true},
		{"moved", "0", 4998, false}, // it fell silent before it came elsewhere
		{"moved", "0", 6001, true},  // what it had was newer
		{"moved", "1", 8500, false}, // it fell silent where it was
		{"returned", "0", 4999, true},
		{"returned", "1", 8999, true},
		{"returned", "0", 12_500, false},
		{"hung", "0", 4999, true},
		{"hung", "0", 5001, true},
		{"hung", "1", 8999, true},
		{"hung", "0", 12_500, false},
		{"handed", "0", 4999, true},
		{"handed", "2", 4999, true},
		{"handed", "2", 4500, false}, // it had fallen silent
		{"stayed", "0", 4999, false},
	} {
		require.Equal(t, c.want, k.OfMove(c.gateway, c.on, c.at), "%+v", c)
	}
}

func TestSeenBeforeTheFirstSample(t *testing.T) {
	from, to := Begin{"1", 600_000}.Seen(300*time.Second, 0)
	require.Equal(t, int64(600_000-120_000), from, "what came later may be older")
	require.Equal(t, int64(600_000+360_000), to)
}

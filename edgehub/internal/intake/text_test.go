package intake

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/body"
)

// reading is a push whose body is being read.
func (f *filled) reading(body string) *text {
	t := f.texts.Get().(*text)
	t.reset([]byte(body))
	return t
}

// A body with more samples than the hub may ever hold is not read to its end: what is
// noted of each line takes far more memory than the line.
func TestReadingStopsWhereNothingMoreFits(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	f.cfg.MaxSamples = 10
	in := f.reading(fleet(1000, "a"))
	err := in.read(f.store.Table(), 0)
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, "too_many_samples", refused.Reason)
	assert.LessOrEqual(t, len(in.batch.Names.List), 100)
	assert.LessOrEqual(t, in.batch.Len(), 100)
}

// What is noted of a large push counts as memory for bodies, is refused where there is
// none, and is given back.
func TestWhatIsNotedTakesRoom(t *testing.T) {
	const lines = 100_000
	body1 := strings.Repeat("x 1\n", lines)
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	in := f.reading(body1)
	require.NoError(t, in.read(f.store.Table(), 0))
	assert.Greater(t, f.room.Used(), int64(lines*20))
	in.reset(nil)
	assert.Zero(t, f.room.Used())

	f.room = body.NewRoom(lines)
	_, _, err := f.Text([]byte(body1), f.began)
	assert.ErrorIs(t, err, body.ErrNoRoom)
	assert.Zero(t, f.room.Used())
	assert.Zero(t, f.store.Log.Behind())
	f.push(body1[:40_000])
}

// Samples of known series are counted as their own gateway's, in runs, those of new ones
// once they are known.
func TestSamplesCountForTheirGateway(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	line := func(gateway string, n int) string { return fmt.Sprintf("x{gatewayID=%q,n=\"%d\"} 1\n", gateway, n) }
	pushed := line("a", 1) + line("a", 2) + line("b", 1) + line("b", 2) + line("b", 3) + "x 1\n" + line("a", 1) + line("a", 2)
	f.push(pushed)
	runs := func(body string) (all []string) {
		in, table := f.reading(body), f.store.Table()
		require.NoError(t, in.read(table, 0))
		for _, r := range in.batch.Runs {
			all = append(all, fmt.Sprint(table.GatewayName(r.Gateway), r.Samples))
		}
		return all
	}
	assert.Equal(t, []string{"a2", "b3", "1", "a2"}, runs(pushed))
	assert.Equal(t, []string{"b1", "1", "1", "a1"}, runs(line("b", 1)+line("c", 1)+line("b", 4)+line("a", 1)), "new ones are nobody's yet")
}

// Behind many series that are not known the next is not looked up each time; it is what it is
// all the same.
func TestKnownSeriesBehindManyNewOnes(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	var known, all strings.Builder
	for i := range 100 {
		fmt.Fprintf(&known, "x{n=\"%d\"} 1\n", i)
	}
	f.push(known.String())
	for i := range 50 {
		fmt.Fprintf(&all, "y{n=\"%d\"} 1\n", i)
	}
	all.WriteString(known.String())
	f.push(all.String())
	assert.Equal(t, 150, f.store.Table().Size())
	assert.Equal(t, 250, f.store.Log.Behind())
}

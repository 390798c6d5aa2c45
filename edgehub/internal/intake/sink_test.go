package intake

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/decode"
)

// bring brings samples of a fleet by one buffer that is written over, as decoders do.
func bring(gateways, families int) func(decode.Sink) error {
	return func(to decode.Sink) error {
		var line, name []byte
		for g := range gateways {
			for f := range families {
				name = fmt.Appendf(name[:0], "metric_%d_total", f)
				if err := to.Type(name, []byte("counter")); err != nil {
					return err
				}
				line = fmt.Appendf(line[:0], "metric_%d_total{gatewayID=\"gw%d\",service=\"mme\"}", f, g)
				if err := to.Sample(line, int64(1_700_000_000_000+f), float64(g)); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// What a decoder brings is what the text would have been, new series and known ones.
func TestSinkTakesWhatTextHas(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	f.push("# TYPE metric_0_total counter\nmetric_0_total{service=\"mme\",gatewayID=\"gw1\"} 0\n")
	f.drain()
	for range 3 {
		n, _, err := f.Take(f.began, bring(20, 10))
		require.NoError(t, err)
		assert.Equal(t, 200, n)
	}
	v, rank := f.store.ReadWaiting()
	a := arrange.Arrange(v, rank, arrange.Everything)
	assert.Len(t, rank.Order, 200)
	for _, family := range rank.Families {
		assert.Equal(t, "counter", family.Type)
	}
	for _, id := range rank.Order {
		var family, gateway int
		_, err := fmt.Sscanf(rank.Text(id), "metric_%d_total{gatewayID=\"gw%d\",service=\"mme\"}", &family, &gateway)
		require.NoError(t, err)
		for _, p := range a.Of(id) {
			assert.Equal(t, arrange.Point{Time: int64(1_700_000_000_000 + family), Value: float64(gateway)}, p)
		}
	}
	assert.Equal(t, 600, f.store.Log.Behind())
}

// A sample without a time has that of its arrival.
func TestSampleWithoutTime(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 10})
	_, _, err := f.Take(f.began, func(to decode.Sink) error { return to.Sample([]byte("x"), decode.NoTime, 1) })
	require.NoError(t, err)
	v, rank := f.store.ReadWaiting()
	assert.Equal(t, []arrange.Point{{Time: f.began.UnixMilli(), Value: 1}}, arrange.Arrange(v, rank, arrange.Everything).Of(rank.Order[0]))
}

// A decoder may go on behind a series that is refused, but not behind a push that is.
func TestWhatASinkRefuses(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	broken := (*decode.BrokenError)(nil)
	n, _, err := f.Take(f.began, func(to decode.Sink) error {
		for _, bad := range []string{"", "x{", `x{a="1",a="2"}`, "reserved", `{"x"`} {
			err := to.Sample([]byte(bad), decode.NoTime, 1)
			require.Error(t, err, bad)
			assert.NotErrorAs(t, err, &broken)
		}
		var refused *RefusedError
		require.ErrorAs(t, to.Sample([]byte("x"), 1_700_000_000, 1), &refused)
		assert.Equal(t, "time_unit", refused.Reason)
		return to.Sample([]byte("good"), decode.NoTime, 1)
	})
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, 1, f.store.Log.Behind())

	f.cfg.MaxSamples = 10
	_, _, err = f.Take(f.began, bring(2, 10))
	require.ErrorAs(t, err, &broken)
	f.cfg.MaxSamples, f.room = 1<<20, body.NewRoom(1)
	_, _, err = f.Take(f.began, bring(20_000, 10))
	require.ErrorAs(t, err, &broken)
	require.ErrorIs(t, err, body.ErrNoRoom)
	assert.Equal(t, 1, f.store.Log.Behind())
	failed := errors.New("failed")
	_, _, err = f.Take(f.began, func(to decode.Sink) error { return errors.Join(to.Sample([]byte("y"), decode.NoTime, 1), failed) })
	require.ErrorIs(t, err, failed)
	assert.Equal(t, 1, f.store.Log.Behind())
}

// BenchmarkSink brings samples of known series.
func BenchmarkSink(b *testing.B) {
	f := newFilled(b, series.Limits{GatewaySeries: 1e6})
	var lines [][]byte
	for g := range 100 {
		for m := range 100 {
			lines = append(lines, fmt.Appendf(nil, "metric_%d_total{gatewayID=\"gw%d\",service=\"mme\",cluster=\"one\"}", m, g))
		}
	}
	read := func(to decode.Sink) error {
		for _, line := range lines {
			if err := to.Sample(line, 1_700_000_000_000, 1); err != nil {
				return err
			}
		}
		return nil
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := f.Take(f.began, read); err != nil {
			b.Fatal(err)
		}
		f.drain()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(lines)), "ns/sample")
}

package lines

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/decode/decodetest"
)

func TestLabelled(t *testing.T) {
	var r decodetest.Recorder
	l := NewLabelled(&r)
	sample := func(series, want string) {
		t.Helper()
		r.Lines = nil
		require.NoError(t, l.Sample([]byte(series), 5, 1))
		assert.Equal(t, []string{want + " 1 5"}, r.Lines)
	}
	sample(`x{gatewayID="liar"}`, `x{gatewayID="liar"}`)
	l.Set(Label{"gatewayID", "g\"w\\\n"}, Label{"networkID", ""}, Label{"odd.name", "ü"})
	sample(`x`, `x{gatewayID="g\"w\\\n","odd.name"="ü"}`)
	sample(`x{gatewayID="liar",networkID="n"}`, `x{gatewayID="g\"w\\\n",networkID="n","odd.name"="ü"}`)
	sample(`{"o.k",a="\\\"","odd.name"="z"}`, `{"o.k",a="\\\"",gatewayID="g\"w\\\n","odd.name"="ü"}`)
	require.Error(t, l.Sample([]byte("x{"), 5, 1))
	r.Lines = nil
	require.NoError(t, l.Histogram([]byte("h"), decode.NoTime, nil))
	assert.Equal(t, []string{`h{gatewayID="g\"w\\\n","odd.name"="ü"} {}`}, r.Lines)
	l.Set()
	sample(`x`, `x`)
}

// Neither who sets labels nor who writes lines allocates for a sample.
func TestSamplesDoNotAllocate(t *testing.T) {
	w := NewWriter(new(Types), 1<<20)
	require.NoError(t, w.Type([]byte("a_name_that_is_longer_than_32_bytes"), []byte("counter")))
	l := NewLabelled(w)
	l.Set(Label{"gatewayID", "gw"}, Label{"networkID", "n"})
	series := [][]byte{[]byte(`a_name_that_is_longer_than_32_bytes{z="1",b="a value that is longer than 32 bytes"}`), []byte(`{"odd.name",a="\\"}`)}
	write := func() {
		for _, s := range series {
			require.NoError(t, l.Sample(s, 1_700_000_000_000, 1.5))
		}
	}
	for range 1000 {
		write()
	}
	w.text = w.text[:0]
	assert.Zero(t, testing.AllocsPerRun(100, write))
}

func BenchmarkLabelled(b *testing.B) {
	w := NewWriter(new(Types), 1<<30)
	l := NewLabelled(w)
	l.Set(Label{"gatewayID", "gw"}, Label{"networkID", "n"})
	series := []byte(`http_requests_total{code="200",method="get",path="/"}`)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%1000 == 0 {
			w.Reset()
		}
		if err := l.Sample(series, 1_700_000_000_000, float64(n)); err != nil {
			b.Fatal(err)
		}
	}
}

package exporter

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/magma"
)

// words are strings that are parts of one large buffer, as a decoder's are that does not
// copy. Gone is closed when nothing refers to any of them.
func words(texts ...string) (parts []string, gone chan struct{}) {
	buffer := make([]byte, 1<<20)
	gone = make(chan struct{})
	runtime.AddCleanup(&buffer[0], func(gone chan struct{}) { close(gone) }, gone)
	rest := buffer
	for _, text := range texts {
		n := copy(rest, text)
		parts = append(parts, unsafe.String(&rest[0], n))
		rest = rest[n:]
	}
	return parts, gone
}

// What is queued, remembered, told in an error or waits for the logger keeps nothing of the
// caller's alive: a gateway's ID may be a part of a report of megabytes.
func TestNothingOfTheCallersIsKept(t *testing.T) {
	e, err := New(Config{Hubs: []Hub{{URL: "http://hub"}}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	submit := func(kind dto.MetricType) (gone chan struct{}, err error) {
		w, gone := words("metric", "help", "label", "value", "network", "gateway", "dotted.name")
		metric := &dto.Metric{Gauge: &dto.Gauge{}, Label: []*dto.LabelPair{{Name: &w[2], Value: &w[3]}}}
		var items []magma.MetricAndContext
		for _, name := range []*string{&w[0], &w[6]} {
			items = append(items, magma.MetricAndContext{
				Family:  &dto.MetricFamily{Name: name, Help: &w[1], Type: kind.Enum(), Metric: []*dto.Metric{metric}},
				Context: magma.MetricContext{AdditionalContext: &magma.GatewayMetricContext{NetworkID: w[4], GatewayID: w[5]}},
			})
		}
		items = append(items, magma.MetricAndContext{Family: &dto.MetricFamily{Name: &w[0], Type: kind.Enum()}, Context: items[0].Context})
		return gone, e.Submit(context.Background(), items)
	}
	freed := func(what string, gone chan struct{}) {
		t.Helper()
		for range 100 {
			runtime.GC()
			select {
			case <-gone:
				return
			case <-time.After(10 * time.Millisecond): // cleanups run beside
			}
		}
		t.Errorf("%s keeps the caller's strings", what)
	}
	gone, err := submit(dto.MetricType_GAUGE)
	require.NoError(t, err)
	freed("what is queued", gone)
	gone, rejected := submit(dto.MetricType_COUNTER) // without a Counter
	assert.ErrorContains(t, rejected, "missing_value")
	freed("what is left out", gone)
	runtime.KeepAlive(e)
	runtime.KeepAlive(rejected)
}

func TestKeysBounded(t *testing.T) {
	k := keys{known: map[string]string{}}
	long := strings.Repeat("k", 1<<20)
	for i := range len(long) / 1024 {
		key := long[i:]
		assert.Equal(t, key, k.own(key))
		require.LessOrEqual(t, k.bytes, maxKeyBytes)
	}
	first, second := k.own("a"), k.own("a")
	assert.Same(t, unsafe.StringData(first), unsafe.StringData(second), "one copy")
	assert.Empty(t, k.own(""))
}

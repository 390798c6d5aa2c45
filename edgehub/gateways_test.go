package edgehub

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// listed reads a list of gateways with Prometheus' own parser and returns the
// values of its two families by the gateway's name.
func listed(t *testing.T, text, label string) (pushed, series map[string]float64) {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	require.Len(t, families, 2)
	values := func(name string) map[string]float64 {
		f := families[name]
		require.Equal(t, dto.MetricType_GAUGE, f.GetType())
		require.NotEmpty(t, f.GetHelp())
		all := map[string]float64{}
		for _, m := range f.Metric {
			require.Len(t, m.Label, 1)
			require.Equal(t, label, m.Label[0].GetName())
			require.Nil(t, m.TimestampMs)
			all[m.Label[0].GetValue()] = m.GetGauge().GetValue()
		}
		require.Len(t, all, len(f.Metric))
		return all
	}
	return values("edgehub_gateway_last_push_timestamp_seconds"), values("edgehub_gateway_series")
}

func TestGateways(t *testing.T) {
	s := serve(t, Config{})
	begin := float64(time.Now().UnixMilli()) / 1000
	odd := "\"\\\n ü"
	s.push(at("x", 1, 0) + at(`x{gatewayID="b"}`, 1, 0) + at(`y{gatewayID="b"}`, 1, 0) + at(`y{gatewayID="a"}`, 1, 0) +
		at(`y{gatewayID="\"\\\n ü"}`, 1, 0) + at(`y{gatewayID=""}`, 1, 0))
	answer, text := s.do("GET", "/gateways", "")
	assert.Equal(t, "text/plain; version=0.0.4; charset=utf-8", answer.Header.Get("Content-Type"))
	pushed, series := listed(t, text, "gatewayID")
	assert.Equal(t, map[string]float64{"a": 1, "b": 2, odd: 1}, series)
	for gateway, at := range pushed { // samples are a minute older
		assert.GreaterOrEqual(t, at, begin, gateway)
		assert.LessOrEqual(t, at, float64(time.Now().UnixMilli())/1000, gateway)
	}
	assert.Len(t, pushed, 3)
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return !strings.HasPrefix(l, "edgehub_gateway_series") })
	assert.True(t, slices.IsSorted(lines), text)
	assert.Equal(t, 6, s.Stats().Pending, "it took something")
}

// The time is that of the last push that was taken in, known series or not, not that
// of a refused one or of a scrape.
func TestGatewaysLastPush(t *testing.T) {
	h := newHub(t, Config{MaxGatewaySeries: 2})
	now := h.started
	push := func(body string) error {
		now = now.Add(time.Second)
		_, err := h.ingest([]byte(body), now)
		return err
	}
	is := func(gateway string, want time.Time) {
		t.Helper()
		all := h.gateways()
		i := slices.IndexFunc(all, func(g gatewayStatus) bool { return g.name == gateway })
		assert.Equal(t, want.UnixMilli(), all[i].pushed)
	}
	require.NoError(t, push(`x{gatewayID="a"} 1`))
	is("a", now)
	require.NoError(t, push(`x{gatewayID="a"} 1 5`))
	is("a", now)
	require.NoError(t, push(`y{gatewayID="a"} 1`))
	is("a", now)
	last := now
	require.Error(t, push(`z{gatewayID="a"} 1`))
	require.NoError(t, push(`z{gatewayID="b"} 1`))
	drain(h, now)
	is("a", last)
	is("b", now)
}

// Between the table and the log a push has no time yet.
func TestGatewayWhoseFirstPushIsBeingTakenIn(t *testing.T) {
	h := newHub(t, Config{})
	in, table := h.ingesters.Get().(*ingester), h.table.Load()
	in.reset([]byte("x{gatewayID=\"a\"} 1\n"))
	require.NoError(t, in.read(table, 0))
	require.NoError(t, table.learn(&in.names, h.started, func() error { return nil }))
	assert.Equal(t, 1, h.Stats().Series)
	assert.Empty(t, h.gateways())
}

// A gateway is there as long as one of its series is, over any number of tables.
func TestGatewaysExpire(t *testing.T) {
	h := newHub(t, Config{})
	names := func() (all []string) {
		for _, g := range h.gateways() {
			all = append(all, fmt.Sprint(g.name, g.series))
		}
		return all
	}
	assert.Empty(t, names())
	ingestAt(t, h, []byte(`x{gatewayID="gone"} 1
x{gatewayID="stays"} 1
y{gatewayID="stays"} 1
`))
	drain(h, h.started)
	assert.Equal(t, []string{"gone1", "stays2"}, names())
	ingestAt(t, h, []byte("x{gatewayID=\"stays\"} 2\n"))
	before := h.gateways()[1].pushed
	require.Equal(t, 2, h.expire(h.started.Add(time.Hour)))
	assert.Equal(t, []string{"stays1"}, names())
	assert.Equal(t, before, h.gateways()[0].pushed)
	ingestAt(t, h, []byte("x{gatewayID=\"gone\"} 2\n"))
	assert.Equal(t, []string{"gone1", "stays1"}, names())
}

// There are more gateways than are looked at under one lock; each is there once.
func TestManyGateways(t *testing.T) {
	const gateways = 2*snapshotSize + 3
	h := manyGateways(t, gateways)
	all := h.gateways()
	require.Len(t, all, gateways)
	for i, g := range all {
		require.Equal(t, fmt.Sprintf("gw%06d", i), g.name)
	}
}

// While many push, gateways that are new and others, and tables are replaced, each list
// has every gateway once that was there before it.
func TestGatewaysWhileManyPush(t *testing.T) {
	const pushers, batches, batch = 4, 60, 50
	h := newHub(t, Config{})
	later := h.started.Add(2 * time.Hour)
	name := func(pusher, i int) string { return fmt.Sprintf("%d-%06d", pusher, i) }
	var known [pushers]atomic.Int64
	var pushing, others sync.WaitGroup
	for p := range pushers {
		pushing.Go(func() {
			for n := range batches {
				var body strings.Builder
				for i := range (n + 1) * batch { // the former ones, too
					fmt.Fprintf(&body, "x{gatewayID=%q} 1\n", name(p, i))
				}
				_, err := h.ingest([]byte(body.String()), later)
				assert.NoError(t, err)
				known[p].Store(int64((n + 1) * batch))
			}
		})
	}
	ended, tables := make(chan struct{}), 0
	until := func(f func()) {
		others.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
					f()
				}
			}
		})
	}
	until(func() {
		_, err := h.ingest([]byte("x{gatewayID=\"gone\"} 1\n"), h.started)
		assert.NoError(t, err)
		c := h.scrapers[""].parts[0]
		h.log.advance(c, reading(h, c, 0, 1))
		tables += h.expire(h.started.Add(time.Hour))
	})
	until(func() {
		var before [pushers]int
		for p := range before {
			before[p] = int(known[p].Load())
		}
		all := h.gateways()
		listed := map[string]bool{}
		for i, g := range all {
			listed[g.name] = true
			assert.Equal(t, 1, g.series, g.name)
			assert.NotZero(t, g.pushed, g.name)
			assert.True(t, i == 0 || all[i-1].name < g.name, g.name)
		}
		for p, n := range before {
			for i := range n {
				if !listed[name(p, i)] {
					assert.Fail(t, "a gateway is not listed", name(p, i))
					return
				}
			}
		}
	})
	pushing.Wait()
	close(ended)
	others.Wait()
	assert.Positive(t, tables)
}

func TestGatewaysEmpty(t *testing.T) {
	s := serve(t, Config{})
	s.push("x 1\n")
	p := expfmt.NewTextParser(model.UTF8Validation)
	_, err := p.TextToMetricFamilies(strings.NewReader(s.get("/gateways")))
	assert.NoError(t, err)
}

// The label is the hub's, in quotes where its name needs them, and escaped for who
// asks for no such names.
func TestGatewaysLabel(t *testing.T) {
	s := serve(t, Config{GatewayLabel: "gateway.id"})
	s.push(at(`x{"gateway.id"="a"}`, 1, 0))
	_, text := s.do("GET", "/gateways", "", "Accept", "text/plain;version=1.0.0;escaping=allow-utf-8")
	_, series := listed(t, text, "gateway.id")
	assert.Equal(t, map[string]float64{"a": 1}, series)
	_, series = listed(t, s.get("/gateways"), "U__gateway_2e_id")
	assert.Equal(t, map[string]float64{"a": 1}, series)
}

func TestGatewaysZipped(t *testing.T) {
	s := serve(t, Config{})
	s.push(at(`x{gatewayID="a"}`, 1, 0))
	answer, text := s.do("GET", "/gateways", "", "Accept-Encoding", "gzip")
	require.Equal(t, "gzip", answer.Header.Get("Content-Encoding"))
	z, err := gzip.NewReader(strings.NewReader(text))
	require.NoError(t, err)
	plain, err := io.ReadAll(z)
	require.NoError(t, err)
	assert.Equal(t, s.get("/gateways"), string(plain))
}

// Whoever asks for it all the time has the places of those who look, and no others.
func TestGatewaysAreBoundedLikeALook(t *testing.T) {
	s := serve(t, Config{})
	for range maxLooks {
		s.looks <- struct{}{}
	}
	answer, _ := s.do("GET", "/gateways", "")
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	<-s.looks
	s.get("/gateways")
	s.get("/gateways")
}

// manyGateways is a hub that knows so many.
func manyGateways(t testing.TB, gateways int) *Hub {
	t.Helper()
	h := newHub(t, Config{})
	var body bytes.Buffer
	for i := range gateways {
		fmt.Fprintf(&body, "x{gatewayID=\"gw%06d\"} 1\n", i*7919%gateways)
	}
	ingestAt(t, h, body.Bytes())
	return h
}

// The whole list, and the longest that a push may have to wait for a lock of it.
//
//	go test ./edgehub -run '^$' -bench BenchmarkGateways
func BenchmarkGateways(b *testing.B) {
	h := manyGateways(b, 100_000)
	b.Run("list=100000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := writeGateways(io.Discard, h.gateways(), "gatewayID"); err != nil {
				b.Fatal(err)
			}
		}
	})
	t := h.table.Load()
	b.Run(fmt.Sprintf("locked=%d", snapshotSize), func(b *testing.B) {
		all := make([]gatewayStatus, 0, snapshotSize)
		for i := 0; b.Loop(); i++ {
			from := i * snapshotSize % 99_000
			all = h.log.appendStatus(all[:0], t.memberships(from, from+snapshotSize))
		}
	})
}

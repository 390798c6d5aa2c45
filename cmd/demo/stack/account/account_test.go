package account

import (
	"math"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/demo/stack/shard"
)

// at is what one series has in the shards.
type at struct {
	series  labels.Labels
	samples []shard.Sample
}

func viewOf(content []at) View {
	return func(yield func(labels.Labels, []shard.Sample) bool) error {
		for _, c := range content {
			if !yield(c.series, c.samples) {
				break
			}
		}
		return nil
	}
}

func named(name string) labels.Labels {
	return labels.FromStrings(model.MetricNameLabel, name, "gatewayID", "g")
}

func in(shardIndex int, time int64, value float64) shard.Sample {
	return shard.Sample{Shard: shardIndex, Time: time, Value: value}
}

// Every case submits the series a and b at 10 and 20 with their time as value.
// One thing differs from the good case in each.
func TestSettle(t *testing.T) {
	a, b := named("a"), named("b")
	good := func() []at {
		return []at{
			{a, []shard.Sample{in(0, 10, 10), in(0, 20, 20)}},
			{b, []shard.Sample{in(0, 10, 10), in(1, 20, 20)}},
		}
	}
	guest := labels.FromStrings(model.MetricNameLabel, "a", "gatewayID", "guest")
	own := labels.FromStrings(model.MetricNameLabel, "up", "job", shard.Job, "instance", "x")
	receipt := labels.FromStrings(model.MetricNameLabel, "edgehub_receipt")

	for _, c := range []struct {
		name    string
		content []at
		graves  []Grave
		again   bool // submit time 20 again
		checks  Checks
		want    Result // the figures that are not 0
		fault   string // the only one, or "" for none
	}{
		{
			name: "all there", content: good(), checks: Checks{ExporterSubmitted: 4, Counted: 2},
			want: Result{Submitted: 4, Stored: 4, GatewaySeries: 2},
		}, {
			name: "a sample lost", content: []at{good()[0], {b, []shard.Sample{in(0, 10, 10)}}},
			checks: Checks{ExporterSubmitted: 4, Counted: 2},
			want:   Result{Submitted: 4, Stored: 3, GatewaySeries: 2, Lost: Finding{1, []string{Key(b)}}},
			fault:  "submitted samples are in no shard and were in no killed hub",
		}, {
			name: "a sample in the middle lost", content: []at{good()[1], {a, []shard.Sample{in(0, 20, 20)}}},
			checks: Checks{ExporterSubmitted: 4, Counted: 2},
			want:   Result{Submitted: 4, Stored: 3, GatewaySeries: 2, Lost: Finding{1, []string{Key(a)}}},
			fault:  "submitted samples are in no shard",
		}, {
			name: "a whole series lost", content: good()[:1], checks: Checks{ExporterSubmitted: 4, Counted: 1},
			want:  Result{Submitted: 4, Stored: 2, GatewaySeries: 1, Lost: Finding{2, []string{Key(b)}}},
			fault: "2 (such as of {__name__=\"b\", gatewayID=\"g\"})",
		}, {
			name: "died with the hub", content: []at{good()[0], {b, []shard.Sample{in(0, 10, 10)}}},
			graves: []Grave{{1, map[string][]int64{Key(b): {20}}}}, checks: Checks{ExporterSubmitted: 4, Counted: 2},
			want: Result{Submitted: 4, Stored: 3, Died: 1, GatewaySeries: 2},
		}, {
			name: "in the dead hub, but scraped or sent elsewhere too", content: good(),
			graves: []Grave{{1, map[string][]int64{Key(b): {10, 20}}}}, checks: Checks{ExporterSubmitted: 4, Counted: 2},
			want: Result{Submitted: 4, Stored: 4, GatewaySeries: 2},
		}, {
			name: "the dead hub had another sample of the series", content: []at{good()[0], {b, []shard.Sample{in(0, 10, 10)}}},
			graves: []Grave{{1, map[string][]int64{Key(b): {10}, Key(a): {20}}}}, checks: Checks{ExporterSubmitted: 4, Counted: 2},
			want:  Result{Submitted: 4, Stored: 3, GatewaySeries: 2, Lost: Finding{1, []string{Key(b)}}},
			fault: "submitted samples are in no shard",
		}, {
			name: "an equal copy in another shard", content: []at{{a, []shard.Sample{in(0, 10, 10), in(0, 20, 20), in(1, 20, 20)}}, good()[1]},
			checks: Checks{ExporterSubmitted: 4, Counted: 2},
			want:   Result{Submitted: 4, Stored: 4, Copies: 1, GatewaySeries: 2},
		}, {
			name: "a different copy in another shard", content: []at{{a, []shard.Sample{in(0, 10, 10), in(0, 20, 20), in(1, 20, 21)}}, good()[1]},
			checks: Checks{ExporterSubmitted: 4, Counted: 2},
			want:   Result{Submitted: 4, Stored: 4, Copies: 1, GatewaySeries: 2, Conflicts: Finding{1, []string{Key(a)}}},
			fault:  "have different values in two shards",
		}, {
			name: "another value", content: []at{{a, []shard.Sample{in(0, 10, 10), in(0, 20, 2)}}, good()[1]},
			checks: Checks{ExporterSubmitted: 4, Counted: 2},
			want:   Result{Submitted: 4, Stored: 4, GatewaySeries: 2, Altered: Finding{1, []string{Key(a)}}},
			fault:  "have another value than the one submitted",
		}, {
			name: "a sample that nobody submitted", content: append(good(), at{named("c"), []shard.Sample{in(0, 10, 10)}}),
			checks: Checks{ExporterSubmitted: 4, Counted: 2},
			want:   Result{Submitted: 4, Stored: 4, GatewaySeries: 2, Foreign: Finding{1, []string{Key(named("c"))}}},
			fault:  "nobody submitted them",
		}, {
			name: "a sample of somebody else's gateway", content: append(good(), at{guest, []shard.Sample{in(0, 10, 10)}}),
			checks: Checks{ExporterSubmitted: 4, Counted: 3},
			want:   Result{Submitted: 4, Stored: 4, GatewaySeries: 3, Guests: Finding{1, []string{Key(guest)}}},
		}, {
			name: "a time that nobody submitted", content: []at{{a, []shard.Sample{in(0, 10, 10), in(0, 15, 15), in(0, 20, 20)}}, good()[1]},
			checks: Checks{ExporterSubmitted: 4, Counted: 2},
			want:   Result{Submitted: 4, Stored: 4, GatewaySeries: 2, Foreign: Finding{1, []string{Key(a)}}},
			fault:  "nobody submitted them",
		}, {
			name: "the scrape's own series", content: append(good(), at{own, []shard.Sample{in(0, 10, 1)}}),
			checks: Checks{ExporterSubmitted: 4, Counted: 2},
			want:   Result{Submitted: 4, Stored: 4, GatewaySeries: 2},
		}, {
			name: "a hub's receipts, and a gateway's of a hub of its own", content: append(good(), at{receipt, []shard.Sample{in(0, 10, 1)}}, at{named("edgehub_receipt"), []shard.Sample{in(0, 10, 1)}}),
			checks: Checks{ExporterSubmitted: 4, Counted: 2},
			want:   Result{Submitted: 4, Stored: 4, GatewaySeries: 2, Foreign: Finding{1, []string{Key(named("edgehub_receipt"))}}},
			fault:  "nobody submitted them",
		}, {
			name: "submitted twice with one timestamp", content: good(), again: true,
			checks: Checks{ExporterSubmitted: 6, Counted: 2},
			want:   Result{Submitted: 6, Repeated: 2, Stored: 4, GatewaySeries: 2},
		}, {
			name: "a query counts a series twice", content: good(), checks: Checks{ExporterSubmitted: 4, Counted: 3},
			want:  Result{Submitted: 4, Stored: 4, GatewaySeries: 2},
			fault: "1 series were counted twice",
		}, {
			name: "a query counted a series twice for a while", content: good(), checks: Checks{ExporterSubmitted: 4, Counted: 2, MostTwice: 7},
			want:  Result{Submitted: 4, Stored: 4, GatewaySeries: 2},
			fault: "7 series were counted twice",
		}, {
			name: "a query leaves a series out", content: good(), checks: Checks{ExporterSubmitted: 4, Counted: 1},
			want:  Result{Submitted: 4, Stored: 4, GatewaySeries: 2},
			fault: "1 series that are in the shards were left out",
		}, {
			name: "the exporter counts otherwise", content: good(), checks: Checks{ExporterSubmitted: 5, Counted: 2},
			want:  Result{Submitted: 4, Stored: 4, GatewaySeries: 2},
			fault: "the exporter counted 5 submitted samples, the fleet 4",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			ledger := NewLedger()
			group := ledger.Define("g", true, []string{Key(a), Key(b)}, func(_ int, at int64) float64 { return float64(at) })
			group.Record(20)
			group.Record(10)
			if c.again {
				group.Record(20)
			}
			got, err := Settle(Question{Ledger: ledger, View: viewOf(c.content), Graves: c.graves, Shards: 2})
			require.NoError(t, err)
			faults := got.Faults(c.checks)
			if c.fault == "" {
				require.Empty(t, faults)
			} else {
				require.Len(t, faults, 1)
				require.Contains(t, faults[0], c.fault)
			}
			got.Shards, got.Sources = nil, nil
			require.Equal(t, c.want, *got)
		})
	}
}

func TestSettleTellsWhereASourceWas(t *testing.T) {
	ledger := NewLedger()
	for _, name := range []string{"stayed", "moved", "silent"} {
		group := ledger.Define(name, true, []string{Key(named(name))}, nil)
		for _, at := range []int64{10, 20, 30, 40} {
			group.Record(at)
		}
	}
	got, err := Settle(Question{
		Ledger: ledger, Shards: 3, Since: 35,
		View: viewOf([]at{
			{named("stayed"), []shard.Sample{in(0, 10, 1), in(0, 20, 1), in(0, 30, 1), in(0, 40, 1)}},
			{named("moved"), []shard.Sample{in(0, 10, 1), in(1, 20, 1), in(1, 30, 1)}},
		}),
		Graves: []Grave{{0, map[string][]int64{Key(named("silent")): {10, 20, 30, 40}}}},
	})
	require.NoError(t, err)
	require.Equal(t, []Shard{{Series: 2, Samples: 5, Died: 4}, {Series: 1, Samples: 2}, {}}, got.Shards)
	require.Equal(t, 1, got.GatewaySeries, "the other series have nothing after 35")
	require.EqualValues(t, 1, got.Lost.Samples)

	stayed, moved, silent := got.Sources[0], got.Sources[1], got.Sources[2]
	require.Equal(t, []int{0, -1}, []int{stayed.Home(), stayed.TakenBy(0)})
	require.Equal(t, []int{1, 1}, []int{moved.Home(), moved.TakenBy(0)})
	require.Equal(t, []int{-1, -1}, []int{silent.Home(), silent.TakenBy(0)})
}

func TestTotals(t *testing.T) {
	ledger := NewLedger()
	require.Equal(t, Totals{}, ledger.Totals())
	gateway := ledger.Define("g", true, []string{"a", "b"}, nil)
	cloud := ledger.Define("c", false, []string{"d"}, nil)
	require.Equal(t, Totals{}, ledger.Totals())
	gateway.Record(1)
	gateway.Record(2)
	cloud.Record(1)
	require.Equal(t, Totals{Samples: 5, GatewaySeries: 2}, ledger.Totals())
}

func TestKeysAgreeHoweverABoundIsWritten(t *testing.T) {
	want := `{__name__="x_bucket", a="\"\\\n", le="1.0"}`
	for _, text := range []string{`x_bucket{a="\"\\\n",le="1"}`, `x_bucket{le="1.0",a="\"\\\n"}`, `x_bucket{le="1e0",a="\"\\\n"}`} {
		key, err := ParseKey(text)
		require.NoError(t, err)
		require.Equal(t, want, key)
	}
	require.Equal(t, `{__name__="x", quantile="0.5"}`, Key(labels.FromStrings(model.MetricNameLabel, "x", "quantile", ".5")))
	require.Equal(t, `{__name__="x", le="low"}`, Key(labels.FromStrings(model.MetricNameLabel, "x", "le", "low")))
	_, err := ParseKey(`x{a=`)
	require.Error(t, err)
}

func TestNaNIsItself(t *testing.T) {
	require.True(t, equal(math.NaN(), math.NaN()))
	require.False(t, equal(math.NaN(), 0))
}

package trial

import (
	"math"
	"testing"
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

func steady() Config[*uint64] {
	return Config[*uint64]{
		Most:    math.MaxInt32,
		At:      func(p *uint64) uint64 { return *p },
		Fork:    func(p *uint64) *uint64 { fork := *p; return &fork },
		Drop:    func(*uint64) {},
		Gateway: func(id series.ID) uint32 { return uint32(id / 300) },
	}
}

// A scrape in normal life: 105,000 series, all known. It does not allocate.
//
//	go test ./edgehub/internal/trial -run '^$' -bench NormalLife
func BenchmarkNormalLife(b *testing.B) {
	place := new(uint64)
	t := New(place, steady())
	r := Response{Samples: 105_000}
	for id := range series.ID(105_000) {
		r.Listed = append(r.Listed, id)
	}
	now := time.Now()
	t.Stored(t.Next(now), r, now)
	r.Listed = nil
	listed := 0
	scrape := func() {
		turn := t.Next(now)
		for id := range series.ID(105_000) {
			if turn.Lists(id) {
				listed++
			}
		}
		if turn.Admit == nil && t.Stored(turn, r, now) {
			*turn.From += 105_000
		}
	}
	if allocs := testing.AllocsPerRun(10, scrape); allocs > 0 || listed > 0 {
		b.Fatalf("%v allocations a scrape, %d series listed", allocs, listed)
	}
	b.ReportAllocs()
	for b.Loop() {
		scrape()
	}
}

// A scrape while one gateway is set aside: each sample is asked for.
//
//	go test ./edgehub/internal/trial -run '^$' -bench SetAside
func BenchmarkSetAside(b *testing.B) {
	place := new(uint64)
	t := New(place, steady())
	now := time.Now()
	t.setAside([]series.ID{17, 18, 19}, "label_limit", t.newIncident(nil), now)
	t.at.shares++
	written := 0
	b.ReportAllocs()
	for b.Loop() {
		turn := t.Next(now)
		for id := range series.ID(105_000) {
			if turn.Admit(id) == Write {
				written++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/105_000, "ns/sample")
}

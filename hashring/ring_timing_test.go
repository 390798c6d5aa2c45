package hashring

import (
	"fmt"
	"testing"
)

// sizes runs a benchmark for each number of hubs, without and with weights.
func sizes(b *testing.B, hubCounts []int, f func(b *testing.B, nodes []Node)) {
	for _, n := range hubCounts {
		b.Run(fmt.Sprintf("hubs=%d", n), func(b *testing.B) { f(b, hubs(n)) })
		b.Run(fmt.Sprintf("weighted-hubs=%d", n), func(b *testing.B) { f(b, weighted(hubs(n))) })
	}
}

// go test ./hashring -run '^$' -bench Owner
func BenchmarkOwner(b *testing.B) {
	keys := gateways(1 << 16)
	b.Run("assigned-hubs=10", func(b *testing.B) {
		r := mustAssign(b, mustNew(b, hubs(10)), fleet(1, 347))
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			r.Owner(keys[i&(len(keys)-1)])
			i++
		}
	})
	sizes(b, []int{10, 1000}, func(b *testing.B, nodes []Node) {
		r := mustNew(b, nodes)
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			r.Owner(keys[i&(len(keys)-1)])
			i++
		}
	})
}

// One step is what a gateway of a dead hub costs.
//
// go test ./hashring -run '^$' -bench Walk
func BenchmarkWalk(b *testing.B) {
	keys := gateways(1024)
	for _, steps := range []int{1, 1 << 20} {
		name := map[int]string{1: "one-step"}[steps]
		if name == "" {
			name = "to-the-end"
		}
		b.Run(name, func(b *testing.B) {
			sizes(b, []int{10, 1000}, func(b *testing.B, nodes []Node) {
				r := mustNew(b, nodes)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					left := steps
					for range r.Walk(keys[i&1023]) {
						if left--; left < 0 {
							break
						}
					}
					i++
				}
			})
		})
	}
}

// go test ./hashring -run '^$' -bench New
func BenchmarkNew(b *testing.B) {
	sizes(b, []int{3, 10, 100, 1000}, func(b *testing.B, nodes []Node) {
		b.ReportAllocs()
		for b.Loop() {
			mustNew(b, nodes)
		}
	})
}

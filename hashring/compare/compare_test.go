package compare

import "testing"

// One line for each contender: lookups on 10 hubs are timed, the other columns are
// worked out once.
//
// go test -bench . ./hashring/compare
func BenchmarkRings(b *testing.B) { measure(b, Contenders()) }

// One line for each placement that an exporter can have.
//
// go test -bench Placements ./hashring/compare
func BenchmarkPlacements(b *testing.B) { measure(b, Placements()) }

func measure(b *testing.B, contenders []Contender) {
	fleet := someKeys()
	for _, c := range contenders {
		var q *Quality
		b.Run(c.Name, func(b *testing.B) {
			ring := c.place(numbered(hubs), fleet)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				ring.owner(fleet[i&(len(fleet)-1)])
				i++
			}
			if q == nil {
				placed := c.Place()
				q = &placed
			}
			took, err := c.Build(hubs)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(took.Seconds()*1000, "build-ms")
			b.ReportMetric(q.Balance, "busiest/avg")
			b.ReportMetric(q.Grow, "moves+1/ideal")
			b.ReportMetric(q.Shrink, "moves-1/ideal")
			b.ReportMetric(100*q.Stray, "astray-%")
			b.ReportMetric(q.Failover, "failover/even")
		})
	}
}

// What is claimed of our own ring beside the others.
func TestHubringMovesOnlyWhatMustMove(t *testing.T) {
	q := Contenders()[0].Place()
	if q.Stray != 0 || q.Grow > 1.15 || q.Shrink > 1.15 || q.Failover > 1.25 || q.Balance > 1.1 {
		t.Errorf("%+v", q)
	}
}

// What is claimed of the placements: the circle's owners are the library's, its failover
// is ours, and Assign leaves hardly anything above the average.
func TestPlacements(t *testing.T) {
	quality := map[string]Quality{}
	for _, c := range append(Contenders()[1:3], Placements()[1:]...) {
		quality[c.Name] = c.Place()
	}
	for _, parameters := range []string{"defaults", "20,011 × 200"} {
		ours, theirs := quality["consistent, "+parameters], quality["buraksezer/consistent, "+parameters]
		if ours.Failover > 1.25 {
			t.Errorf("%s: %+v", parameters, ours)
		}
		ours.Failover = theirs.Failover
		if ours != theirs {
			t.Errorf("%s: %+v, and the library has %+v", parameters, ours, theirs)
		}
	}
	if q := quality["assigned"]; q.Balance > 1.03 || q.Grow > 1.5 || q.Shrink > 1.5 {
		t.Errorf("%+v", q)
	}
}

func TestJumpIsAsPublished(t *testing.T) {
	// A key stays or goes to the last bucket as the list grows.
	for _, key := range someKeys()[:1000] {
		for n := 1; n < 20; n++ {
			before, after := jump(numbered(n)).owner(key), jump(numbered(n+1)).owner(key)
			if before != after && after != numbered(n + 1)[n] {
				t.Fatalf("%s moves from %s to %s of %d", key, before, after, n+1)
			}
		}
	}
}

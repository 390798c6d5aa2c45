package edgehub

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (v view) samples() columns {
	var all columns
	for s := range v.stretches() {
		all = all.appended(s)
	}
	return all
}

func (c columns) appended(d columns) columns {
	return columns{append(c.ids, d.ids...), append(c.times, d.times...), append(c.values, d.values...)}
}

func (c columns) equal(d columns) bool {
	return slices.Equal(c.ids, d.ids) && slices.Equal(c.times, d.times) && slices.Equal(c.values, d.values)
}

// testLog makes a log with scrapers of one part each.
func testLog(limit int, policy Policy, scrapers int) (*log, *table, []*scraper) {
	cfg := DefaultConfig()
	cfg.MaxSamples, cfg.Policy = limit, policy
	var all []*scraper
	for range scrapers {
		all = append(all, newScraper(cfg, ""))
	}
	t := newTable(cfg, 0)
	return newLog(cfg, t, all), t, all
}

func one(g *gateway, batch columns) []run { return []run{{g, batch.len()}} }

func randomBatch(r *rand.Rand, n int) columns {
	var batch columns
	for range n {
		batch.add(seriesID(r.Uint32()), r.Int64(), r.Float64())
	}
	return batch
}

// upTo is the arrangement of a scrape that got a part of what it read.
func upTo(v view, to uint64) *arrangement {
	v.to = to
	return &arrangement{view: v, passed: int(to - v.from), choice: everything}
}

// The log against plain columns, through random pushes and scrapes, with both
// policies and a scraper that comes seldom or never. A sample is passed by a scrape, or
// it was let go and counted.
func TestLogIsASlice(t *testing.T) {
	const limit = 5 * segmentSize
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		policy := []Policy{Refuse, Newest}[seed%2]
		l, table, scrapers := testLog(limit, policy, 3)
		scraped, gone := make([]int, len(scrapers)), 0
		var covered uint64 // before it every sample was scraped by somebody, or is gone
		gateways := []*gateway{{name: "a"}, {name: "b"}}
		var model columns // everything ever appended
		for range 300 {
			if r.IntN(3) > 0 {
				batch := randomBatch(r, r.IntN(segmentSize))
				before := l.standingLocked()
				half := batch.len() / 2
				runs := []run{{gateways[0], half}, {gateways[1], batch.len() - half}}
				made, err := l.append(table, &batch, slices.DeleteFunc(runs, func(r run) bool { return r.samples == 0 }), 0)
				if policy == Newest {
					require.NoError(t, err, "seed %d", seed)
					require.Equal(t, max(0, before.pending+batch.len()-limit), made.letGo, "seed %d", seed)
					gone += made.letGo
					if made.letGo > 0 {
						require.Equal(t, before.lead, covered, "seed %d: what is let go was not all that nobody had", seed)
						covered += uint64(made.letGo)
					}
				} else {
					require.Equal(t, before.pending+batch.len() <= limit, err == nil, "seed %d", seed)
				}
				if err == nil {
					model = model.appended(batch)
				}
				continue
			}
			i := r.IntN(2)
			if seed%4 < 2 && r.IntN(20) == 0 {
				i = 2
			}
			c := scrapers[i].parts[0]
			v, _, _ := l.read(c)
			require.True(t, model.part(int(c.position), model.len()).equal(v.samples()), "seed %d", seed)
			if r.IntN(2) == 0 { // as a scrape may, it passes a part only
				to := c.position + uint64(r.IntN(int(v.to-v.from)+1))
				passed, _ := l.advance(c, upTo(v, to))
				require.Equal(t, int(to-v.from), passed.passed)
				scraped[i] += passed.passed
				if v.from <= covered {
					covered = max(covered, to)
				}
			}
			now := l.standingLocked()
			require.Equal(t, covered, now.lead, "seed %d: a sample was given up that nobody has", seed)
			require.LessOrEqual(t, now.most, limit)
			require.LessOrEqual(t, len(l.segments), now.most/segmentSize+2, "segments that every cursor has passed are kept")
			kept := int(l.end-l.first) - l.released*segmentSize
			require.Equal(t, kept, gateways[0].held+gateways[1].held, "what the gateways hold is what is not released")
			require.Less(t, kept-now.pending, segmentSize, "what somebody has passed is held against gateways")
		}
		for i, s := range scrapers {
			require.Equal(t, int(s.parts[0].position), scraped[i]+int(s.leftBehind)+gone, "seed %d: each sample is counted once for each scraper", seed)
		}
		require.NotZero(t, scrapers[2].leftBehind, "seed %d", seed)
	}
}

func TestCursorNeverGoesBack(t *testing.T) {
	l, table, scrapers := testLog(1000, Refuse, 1)
	batch := randomBatch(rand.New(rand.NewPCG(1, 1)), 4)
	_, err := l.append(table, &batch, one(&gateway{}, batch), 0)
	require.NoError(t, err)
	c := scrapers[0].parts[0]
	v, _, _ := l.read(c)
	for _, step := range []struct{ to, passed int }{{3, 3}, {2, 0}, {3, 0}, {4, 1}} {
		passed, _ := l.advance(c, upTo(v, uint64(step.to)))
		assert.Equal(t, step.passed, passed.passed, "to %d", step.to)
	}
	assert.EqualValues(t, 4, c.position)
}

// A view that a scrape reads stays as it was while the log goes on.
func TestViewOutlivesTheLog(t *testing.T) {
	l, table, scrapers := testLog(1<<20, Refuse, 1)
	r := rand.New(rand.NewPCG(1, 1))
	c := scrapers[0].parts[0]
	first, second := randomBatch(r, 3*segmentSize), randomBatch(r, 3*segmentSize)
	_, err := l.append(table, &first, one(&gateway{}, first), 0)
	require.NoError(t, err)
	v, _, _ := l.read(c)
	l.advance(c, upTo(v, v.to))
	_, err = l.append(table, &second, one(&gateway{}, second), 0)
	require.NoError(t, err)
	assert.True(t, first.equal(v.samples()))
}

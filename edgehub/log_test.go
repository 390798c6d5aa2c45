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
// policies.
func TestLogIsASlice(t *testing.T) {
	const limit = 5 * segmentSize
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		policy := []Policy{Refuse, Newest}[seed%2]
		l, table, scrapers := testLog(limit, policy, 2)
		gateways := []*gateway{{name: "a"}, {name: "b"}}
		var model columns // everything ever appended
		for range 300 {
			if r.IntN(3) > 0 {
				batch := randomBatch(r, r.IntN(segmentSize))
				waiting, _ := l.waiting()
				half := batch.len() / 2
				runs := []run{{gateways[0], half}, {gateways[1], batch.len() - half}}
				letGo, err := l.append(table, &batch, slices.DeleteFunc(runs, func(r run) bool { return r.samples == 0 }), 0)
				if policy == Newest {
					require.NoError(t, err, "seed %d", seed)
					require.Equal(t, max(0, waiting+batch.len()-limit), letGo, "seed %d", seed)
				} else {
					require.Equal(t, waiting+batch.len() <= limit, err == nil, "seed %d", seed)
				}
				if err == nil {
					model = model.appended(batch)
				}
				continue
			}
			c := scrapers[r.IntN(2)].parts[0]
			v, _, _ := l.read(c)
			require.True(t, model.part(int(c.position), model.len()).equal(v.samples()), "seed %d", seed)
			if r.IntN(2) == 0 { // as a scrape may, it passes a part only
				to := c.position + uint64(r.IntN(int(v.to-v.from)+1))
				passed, _ := l.advance(c, upTo(v, to))
				require.Equal(t, int(to-v.from), passed.passed)
			}
			waiting, _ := l.waiting()
			require.LessOrEqual(t, len(l.segments), waiting/segmentSize+2, "segments that every cursor has passed are kept")
			require.Equal(t, int(l.end-l.first), gateways[0].held+gateways[1].held, "what the gateways hold is what the segments hold")
		}
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

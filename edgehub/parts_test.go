package edgehub

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Ten parts give each series once, about as many each, and a histogram whole.
func TestPartsShareTheSeries(t *testing.T) {
	s := serve(t, Config{})
	const gateways, series, parts = 200, 5, 10
	var body strings.Builder
	body.Write(fleet(gateways, series, base))
	body.WriteString("# TYPE h histogram\n")
	for g := range 50 {
		for _, line := range []string{`h_bucket{gatewayID="%d",le="1"}`, `h_bucket{gatewayID="%d",le="+Inf"}`, `h_count{gatewayID="%d"}`, `h_sum{gatewayID="%d"}`} {
			body.WriteString(at(fmt.Sprintf(line, g), 1, 0))
		}
	}
	s.push(body.String())

	partOf, sizes := map[string]int{}, make([]int, parts)
	for part := 1; part <= parts; part++ {
		for line := range strings.Lines(s.get(partPath(part, parts, "&drain=1"))) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			name, _, _ := strings.Cut(line, " ")
			require.NotContains(t, partOf, name)
			partOf[name] = part
			sizes[part-1]++
		}
	}
	s.confirm()
	assert.Len(t, partOf, gateways*series+200)
	assert.Zero(t, s.Stats().Pending)
	assert.EqualValues(t, gateways*series+200, s.Stats().Scraped)
	for part, n := range sizes {
		assert.InDelta(t, (gateways*series+200)/parts, n, 60, "part %d", part+1)
	}
	for g := range 50 {
		home := partOf[fmt.Sprintf(`h_count{gatewayID="%d"}`, g)]
		for _, other := range []string{`h_sum{gatewayID="%d"}`, `h_bucket{gatewayID="%d",le="1"}`, `h_bucket{gatewayID="%d",le="+Inf"}`} {
			assert.Equal(t, home, partOf[fmt.Sprintf(other, g)], other)
		}
	}
}

// Each part has a cursor of its own.
func TestPartsMoveAlone(t *testing.T) {
	s := serve(t, Config{})
	s.push(string(fleet(20, 1, base)))
	one := s.get(partPath(1, 2, "&drain=1"))
	s.push(string(fleet(20, 1, base+1)))
	again, other := s.get(partPath(1, 2, "&drain=1")), s.get(partPath(2, 2, "&drain=1"))
	assert.Equal(t, strings.Count(one, "\n"), strings.Count(again, "\n"))
	assert.NotContains(t, again, fmt.Sprintf(" %d\n", base))
	assert.Equal(t, 40-2*(strings.Count(one, "\n")-2), strings.Count(other, "\n")-2)
	s.confirm()
	assert.Zero(t, s.Stats().Pending)
	assert.Contains(t, s.get("/internal"), `edgehub_cursor_lag_samples{cursor="",part="2/2"} 0`)
}

// A scraper that comes with another number of parts gets some samples again, and
// none is left out.
func TestAnotherNumberOfPartsLosesNothing(t *testing.T) {
	s := serve(t, Config{})
	all := map[string]bool{}
	take := func(path string) {
		for line := range strings.Lines(s.get(path)) {
			all[line] = true
		}
	}
	s.push(string(fleet(50, 1, base)))
	take(partPath(1, 4, "&drain=1"))
	take(partPath(3, 4, "&drain=1"))
	s.push(string(fleet(50, 1, base+1)))
	take(partPath(2, 3, "&drain=1"))
	take("/metrics?drain=1")
	assert.Len(t, all, 2+100)
	s.confirm()
	assert.Zero(t, s.Stats().Pending)
	assert.Contains(t, s.get("/internal"), "edgehub_scrape_resplits_total 3\n")
}

// Who looks at a part takes nothing, and splits nothing.
func TestLookingAtAPart(t *testing.T) {
	s := serve(t, Config{})
	s.push(string(fleet(50, 1, base)))
	lines := 0
	for part := 1; part <= 3; part++ {
		lines += strings.Count(s.get(partPath(part, 3, "")), "gatewayID")
	}
	assert.Equal(t, 50, lines)
	assert.Contains(t, s.get("/internal"), "edgehub_scrape_resplits_total 0\n")
	assert.Equal(t, 50, strings.Count(s.get("/metrics?drain=1"), "gatewayID"))
}

func TestWrongParts(t *testing.T) {
	s := serve(t, Config{})
	for _, query := range []string{"part=0&parts=2", "part=3&parts=2", "part=1", "parts=2", "part=1&parts=65", "part=a&parts=2", "part=1&parts=-1"} {
		answer, text := s.do("GET", "/metrics?drain=1&"+query, "")
		assert.Equal(t, http.StatusBadRequest, answer.StatusCode, query)
		assert.Contains(t, text, "parts must be a number from 1 to 64 and part one from 1 to parts", query)
	}
}

package edgehub

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An expiry that is given up changes nothing of what gateways have.
func TestExpiryThatIsGivenUpLeavesTheGateways(t *testing.T) {
	h := newHub(t, Config{MaxGatewaySeries: 2})
	s, now := h.scrapers[""], h.started
	ingestAt(t, h, []byte(at(`x{gatewayID="a"}`, 1, 0)+at(`x{gatewayID="b"}`, 1, 0)+at(`y{gatewayID="a"}`, 1, 0)+at(`y{gatewayID="a"}`, 2, 1)))
	drainPart(h, now, s, s.parts[0], request{parts: 1, onlyFirst: true})
	table := h.table.Load()
	table.rebuild(make([]bool, len(table.traits))) // and not put in its place

	_, err := h.ingest([]byte(at(`z{gatewayID="a"}`, 1, 1)), now)
	assert.ErrorContains(t, err, `gateway "a" has 2 series`)
	ingestAt(t, h, []byte(at(`z{gatewayID="b"}`, 1, 1)))
	for _, sp := range table.index.all {
		assert.Contains(t, sp.raw, fmt.Sprintf(`gatewayID=%q`, table.gateway(sp.gateway).name))
	}
}

// A push that the log has no room for leaves no name behind either.
func TestPushWithoutRoomInTheLogLeavesNoNames(t *testing.T) {
	s := serve(t, Config{MaxSamples: 10})
	s.push("x 1\n")
	s.refused(gatewayBody("a", 10, 1), "hub_full")
}

// A bite that was made small grows again, also where some of its samples are
// too old to be written.
func TestBiteGrowsDespiteSamplesThatAreTooOld(t *testing.T) {
	s := serve(t, Config{})
	var body strings.Builder
	body.WriteString(at("slow_clock", 1, -7_200_000))
	for i := range int64(2 * smallestBite) {
		body.WriteString(at("x", i, i))
	}
	s.push(body.String())
	c := s.scrapers[""].parts[0]
	s.log.cutOff(c, smallestBite)
	s.get("/metrics?drain=1")
	s.get("/-/ready")
	require.EqualValues(t, smallestBite, s.Stats().Scraped)
	_, _, most := s.log.read(c)
	assert.Greater(t, most, smallestBite)
}

// A hub whose table is full of idle names forgets them, also when all that
// it could scrape is scraped.
func TestFullTableOfIdleSeriesIsForgotten(t *testing.T) {
	s := serve(t, Config{MaxSeries: 10})
	s.push(gatewayBody("flood", 10, 1))
	s.get("/metrics?drain=1")
	s.get("/-/ready")
	require.Zero(t, s.Stats().Pending)
	s.refused("x 1\n", "series_limit")
	table := s.table.Load() // two hours pass
	table.mu.Lock()
	for id := range table.traits {
		table.traits[id].seen -= 7200
	}
	table.mu.Unlock()
	s.lastSweep.Add(-7200)
	for range 3 {
		s.get("/metrics?drain=1")
	}
	answer, text := s.do("POST", "/metrics", "x 1\n")
	assert.Equal(t, http.StatusOK, answer.StatusCode, text)
}

// Names of families without a series go as well, whether or not a series goes.
func TestFamiliesWithoutSeriesAreForgotten(t *testing.T) {
	h := newHub(t, Config{MaxSeries: 10})
	ingestAt(t, h, []byte("x 1\n"))
	for i := range 9 {
		ingestAt(t, h, fmt.Appendf(nil, "# TYPE f%d gauge\n", i))
	}
	now := h.started.Add(2 * time.Hour)
	drain(h, now)
	_, err := h.ingest([]byte("y 1\n"), now)
	assert.NoError(t, err)
}

// What is held for a scraper is not copied for each of its parts, again and again.
func TestSplittingDoesNotMultiplyWhatIsHeld(t *testing.T) {
	h := newHub(t, Config{})
	s := h.scrapers[""]
	ingestAt(t, h, []byte(gatewayBody("a", 10, 3)))
	drainPart(h, h.started, s, s.parts[0], request{parts: 1, onlyFirst: true})
	require.Equal(t, 20, h.Stats().Pending)
	for _, parts := range []int{8, 7, 6} {
		h.log.cursor(s, 0, parts, h.cfg.MaxScrapeSamples)
	}
	assert.Equal(t, 20, h.Stats().Pending)
}

// What is held for a scraper takes room like what is in the log.
func TestHeldSamplesAreBounded(t *testing.T) {
	h := newHub(t, Config{MaxSamples: 100})
	s := h.scrapers[""]
	for round := range int64(5) {
		var body strings.Builder
		for i := range int64(50) {
			body.WriteString(at("x", i, 50*round+i))
		}
		_, _ = h.ingest([]byte(body.String()), h.started) // it may be refused
		drainPart(h, h.started, s, s.parts[0], request{parts: 1, onlyFirst: true})
	}
	assert.LessOrEqual(t, h.Stats().Pending, 100)
}

// Of two scrapes that overlap, the samples that both dropped count once.
func TestDroppedSamplesCountOnce(t *testing.T) {
	h := newHub(t, Config{})
	s := h.scrapers[""]
	c := s.parts[0]
	scrape := func() *arrangement {
		v, table, most := h.log.read(c)
		what := h.choice(request{parts: 1}, time.Now())
		what.most = most
		return arrange(v, table.ranked(), what)
	}
	ingestAt(t, h, []byte(at("x", 1, -7_200_000)))
	first := scrape()
	ingestAt(t, h, []byte(at("x", 1, 0)))
	second := scrape()
	h.handedOver(s, c, first)
	h.handedOver(s, c, second)
	assert.EqualValues(t, 2, h.Stats().Scraped)
	assert.EqualValues(t, 1, h.Stats().Dropped)
}

// A family of series with odd bounds goes with them, also if its type came later.
func TestOddFamiliesAreForgotten(t *testing.T) {
	h := newHub(t, Config{})
	ingestAt(t, h, []byte("x_bucket{le=\"odd\"} 1\n# TYPE x histogram\n"))
	drain(h, h.started)
	require.Equal(t, 1, h.expire(h.started.Add(time.Hour)))
	assert.Empty(t, h.table.Load().families)
}

// A scrape that found its cursor just before its scraper was split in another
// way reads nothing under numbers that were given to other series since.
func TestFormerCursorReadsNothingWrong(t *testing.T) {
	h := newHub(t, Config{})
	s := h.scrapers[""]
	ingestAt(t, h, []byte(at("gone", 1, 0)+at("gone", 2, 1)))
	drainPart(h, h.started, s, s.parts[0], request{parts: 1, onlyFirst: true})
	former := s.parts[0]
	for part := range 2 {
		c, _ := h.log.cursor(s, part, 2, h.cfg.MaxScrapeSamples)
		drainPart(h, h.started, s, c, request{part: part, parts: 2})
	}
	require.Equal(t, 1, h.expire(h.started.Add(time.Hour)))
	ingestAt(t, h, []byte(at("new", 7, 2)))
	for _, line := range drainPart(h, h.started, s, former, request{parts: 1}) {
		assert.Equal(t, strings.TrimSpace(at("new", 7, 2)), line)
	}
}

// A body with more names than the hub may ever know is not read to its end: what is
// noted of each line takes far more memory than the line.
func TestReadingStopsWhereNothingMoreFits(t *testing.T) {
	h := newHub(t, Config{MaxSeries: 10, MaxSamples: 10})
	in := h.newIngester().(*ingester)
	in.reset([]byte(gatewayBody("a", 1000, 1)))
	err := in.read(h.table.Load(), 0)
	assert.Error(t, err)
	assert.LessOrEqual(t, len(in.names.list), 100)
	assert.LessOrEqual(t, in.batch.len(), 100)
}

// What is let go is what no scraper gets, as far as it can be told where a scraper
// is split: a part that is in front has some of it.
func TestLetGoWithParts(t *testing.T) {
	s := serve(t, Config{MaxSamples: 2000, Policy: Newest})
	s.push(string(fleet(2000, 1, base)))
	got := map[string]bool{}
	take := func(path string) {
		for line := range strings.Lines(s.get(path)) {
			if !strings.HasPrefix(line, "#") {
				got[line] = true
			}
		}
	}
	take(partPath(1, 2, "&drain=1"))
	s.push(string(fleet(2000, 1, base+1)))
	take(partPath(1, 2, "&drain=1"))
	take(partPath(2, 2, "&drain=1"))
	assert.InEpsilon(t, 4000-len(got), s.Stats().LetGo, 0.1)
}

// Pending yields what is held, too.
func TestPendingYieldsWhatIsHeld(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0) + at("x", 1, 1) + at("x", 1, 2))
	s.do("GET", "/metrics", "", timeoutHeader, "10", "User-Agent", "Prometheus/2.53.1")
	s.get("/-/ready")
	n := 0
	for range s.Pending() {
		n++
	}
	assert.Equal(t, 2, n)
}

// Under the policy Newest what is held for a scraper goes first.
func TestHeldSamplesGoFirst(t *testing.T) {
	h := newHub(t, Config{MaxSamples: 10, Policy: Newest})
	s := h.scrapers[""]
	old := request{parts: 1, onlyFirst: true}
	for i := range int64(10) {
		ingestAt(t, h, []byte(at("x", i, i)))
	}
	assert.Equal(t, []string{line("x", 0)}, drainPart(h, h.started, s, s.parts[0], old))
	ingestAt(t, h, []byte(at("x", 10, 10)+at("x", 11, 11)+at("x", 12, 12)))
	assert.EqualValues(t, 2, h.Stats().LetGo)
	assert.Equal(t, 10, h.Stats().Pending)
	assert.Equal(t, []string{line("x", 3)}, drainPart(h, h.started, s, s.parts[0], old))
}

// However long scrapers say that they wait, and however many never ask again, a
// new connection gets a place.
func TestEndlessScrapesKeepNobodyOut(t *testing.T) {
	s := serve(t, Config{MaxConnections: 1})
	for range 1 + spareConnections {
		_, r := rawScrape(t, s, 1e9, "")
		answer, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.Eventually(t, func() bool { return len(s.scrapes) == 0 }, 10*time.Second, time.Millisecond)
	}
	answer, err := s.client.Post(s.url+"/metrics", "text/plain", strings.NewReader("x 1\n"))
	require.NoError(t, err)
	answer.Body.Close()
	assert.Equal(t, http.StatusOK, answer.StatusCode)
}

package edgehub

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// reading is a scrape of a cursor that has read and written but is not taken yet.
func reading(h *Hub, c *cursor, part, parts int) *arrangement {
	v, t, most := h.log.read(c)
	what := everything
	what.part, what.parts, what.most = part, parts, most
	return arrange(v, t.ranked(), what)
}

// A scrape that was under way when its scraper was split in another way counts
// for nothing: what it had comes again.
func TestFormerCursorMovesNothing(t *testing.T) {
	h := newHub(t, Config{})
	s := h.scrapers[""]
	ingestAt(t, h, []byte("x 1\n"))
	former := s.parts[0]
	a := reading(h, former, 0, 1)
	h.log.cursor(s, 0, 2, h.cfg.MaxScrapeSamples)
	h.handedOver(s, former, a)
	assert.Equal(t, Stats{Pending: 1, Behind: 1, Series: 1}, h.Stats())
}

// Of two scrapes of a part that overlap, each counts the part's own samples that
// the other had not passed.
func TestOverlappingScrapesOfAPartCountOnce(t *testing.T) {
	h := newHub(t, Config{})
	s := h.scrapers[""]
	var ends []*arrangement
	for part := range 2 {
		h.log.cursor(s, part, 2, h.cfg.MaxScrapeSamples)
	}
	for i := range int64(2) {
		ingestAt(t, h, fleet(20, 1, base+i))
		for part, c := range s.parts {
			ends = append(ends, reading(h, c, part, 2))
		}
	}
	for i, a := range ends {
		h.handedOver(s, s.parts[i%2], a)
	}
	assert.EqualValues(t, 40, h.Stats().Scraped)
	assert.Zero(t, h.Stats().Pending)
}

// A response that is still being written when the scraper's time is over is not
// taken yet.
func TestTimeDoesNotConfirmWhatIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, conn := &Hub{confirmTime: time.Second}, &connection{}
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r = r.WithContext(context.WithValue(r.Context(), connectionKey{}, conn))
		taken, lost := 0, 0
		h.whenTaken(r, &handover{commit: func() { taken++ }, lost: func() { lost++ }})
		time.Sleep(time.Minute) // of the bubble's clock
		conn.alive()
		assert.Zero(t, taken)
		conn.closed()
		assert.Zero(t, taken)
		assert.Equal(t, 1, lost)
	})
}

// What every scraper has passed is not held against a gateway while it shares a
// segment with what waits.
func TestPassedSamplesDoNotCountForTheShare(t *testing.T) {
	h := newHub(t, Config{MaxSamples: segmentSize})
	push := func(gateway string, samples int) error {
		_, err := h.ingest([]byte(gatewayBody(gateway, 10, samples/10)), time.Now())
		return err
	}
	require.NoError(t, push("a", 2000))
	drain(h, h.started)
	require.NoError(t, push("b", 1500))
	require.NoError(t, push("c", 1500))
	assert.NoError(t, push("a", 4200), "twice the even share is %d", 2*segmentSize/3)
}

// Two scrapes of one cursor may be under way, not more, and each that ends makes
// room.
func TestScrapesOfOneCursorAreLimited(t *testing.T) {
	s := serve(t, Config{})
	c := s.scrapers[""].parts[0]
	for range maxScrapesOfOne {
		require.True(t, s.log.enter(c))
	}
	answer, text := s.do("GET", "/metrics?drain=1", "")
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	assert.Equal(t, "2 scrapes are under way, which is the limit\n", text)
	s.log.leave(c)
	for range maxScrapesOfOne + 1 {
		s.get("/metrics?drain=1")
	}
	s.get("/-/ready") // the last one has ended
	assert.True(t, s.log.enter(c))
	assert.False(t, s.log.enter(c))
}

// Of many samples of one time, the last of the push stays.
func TestLastOfManyEqualTimesWins(t *testing.T) {
	s := serve(t, Config{})
	var body strings.Builder
	for i := range int64(200) {
		body.WriteString(at("x", i, i%2))
	}
	s.push(body.String())
	assert.Equal(t, at("x", 198, 0)+at("x", 199, 1), s.scrape())
}

// A series that was scraped is known for its time from then on, not from its first
// push.
func TestScrapedSeriesAreSeen(t *testing.T) {
	h := newHub(t, Config{})
	s := h.scrapers[""]
	ingestAt(t, h, []byte("x 1\n"))
	table := h.table.Load()
	table.traits[0].seen = 0
	h.handedOver(s, s.parts[0], reading(h, s.parts[0], 0, 1))
	assert.Zero(t, h.expire(h.started))
	assert.Equal(t, 1, h.Stats().Series)
}

// Of two scrapes that read the same of what is held, the slower one does not bring
// back what was handed over since.
func TestSlowerScrapeBringsNothingHeldBack(t *testing.T) {
	h := newHub(t, Config{})
	s := h.scrapers[""]
	c := s.parts[0]
	for i := range int64(4) {
		ingestAt(t, h, []byte(at("x", i, i)))
	}
	scrape := func() *arrangement {
		a := reading(h, c, 0, 1)
		a.choice.onlyFirst = true
		require.NoError(t, a.write(io.Discard, false))
		return a
	}
	h.handedOver(s, c, scrape())
	fast, slow := scrape(), scrape()
	h.handedOver(s, c, fast)
	h.handedOver(s, c, scrape())
	h.handedOver(s, c, slow)
	assert.Equal(t, []string{line("x", 3)}, drain(h, h.started))
}

// A table is not replaced by one that lacks a series whose sample came in while it
// was made.
func TestTableWithoutANewSampleIsRefused(t *testing.T) {
	h := newHub(t, Config{})
	ingestAt(t, h, []byte("x 1\ny 1\n"))
	next := newTable(h.cfg, 0)
	assert.False(t, h.log.replace(next, 0, []bool{true, false}))
	assert.Same(t, h.table.Load(), h.log.table)
	assert.True(t, h.log.replace(next, 2, []bool{true, false}))
	assert.Same(t, next, h.log.table)
}

// A gateway that is silent keeps no segment alive that the log dropped.
func TestGatewayForgetsADroppedSegment(t *testing.T) {
	h := newHub(t, Config{})
	ingestAt(t, h, []byte(gatewayBody("a", 1, segmentSize)))
	g := h.table.Load().members["a"]
	require.NotNil(t, g.last)
	drain(h, h.started)
	assert.Nil(t, g.last)
	assert.Zero(t, g.held)
}

// A scraper that is known to have gone while the response was written has nothing.
func TestScraperThatIsGoneTakesNothing(t *testing.T) {
	h := newHub(t, Config{})
	ingestAt(t, h, []byte(at("x", 1, 0)))
	ctx, gone := context.WithCancel(t.Context())
	gone()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics?drain=1", nil)
	assert.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { h.Handler().ServeHTTP(httptest.NewRecorder(), r) })
	assert.Equal(t, 1, h.Stats().Pending)
}

// A scraper that closes its connection within its time did not get what was
// written, and is given less.
func TestLostScrapeMakesTheBiteSmaller(t *testing.T) {
	s := serve(t, Config{})
	s.push(gatewayBody("a", 10, 4*smallestBite/10))
	conn, r := rawScrape(t, s, 30, "")
	answer, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool {
		_, _, most := s.log.read(s.scrapers[""].parts[0])
		return most == 2*smallestBite
	}, 10*time.Second, time.Millisecond)
	assert.Equal(t, 4*smallestBite, s.Stats().Pending)
}

// A series stays in its part when others expire.
func TestPartsOutliveTheTable(t *testing.T) {
	h := newHub(t, Config{})
	homes := func() map[string]int {
		r, homes := h.table.Load().ranked(), map[string]int{}
		for _, id := range r.order {
			homes[r.text(id)] = r.partOf(id, maxParts)
		}
		return homes
	}
	ingestAt(t, h, []byte("gone 1\n"))
	drain(h, h.started)
	ingestAt(t, h, fleet(50, 1, base)) // these wait, so they stay
	before := homes()
	require.Equal(t, 1, h.expire(h.started.Add(time.Hour)))
	delete(before, "gone")
	assert.Equal(t, before, homes())
}

// Whoever changes a HELP text with each push does not fill the table with it.
func TestFewHelpLinesAreRemembered(t *testing.T) {
	h := newHub(t, Config{})
	for i := range 5 * maxSpellings {
		ingestAt(t, h, fmt.Appendf(nil, "# HELP x Text %d.\n", i))
	}
	ingestAt(t, h, []byte(at("x", 1, 0)))
	assert.EqualValues(t, maxSpellings+1, h.table.Load().index.count)
	assert.Contains(t, drain(h, h.started), fmt.Sprintf("# HELP x Text %d.", 5*maxSpellings-1))
}

// A scrape that is handed over after its series' number was given up keeps no number
// from being used again.
func TestNumbersOfNoSeriesStayFree(t *testing.T) {
	h := newHub(t, Config{})
	ingestAt(t, h, []byte("gone 1\nstays 1\n"))
	a := reading(h, h.scrapers[""].parts[0], 0, 1)
	drain(h, h.started)
	ingestAt(t, h, []byte(at("stays", 2, 0)))
	require.Equal(t, 1, h.expire(h.started.Add(time.Hour)))
	h.table.Load().touch(a.shares, h.started.Add(2*time.Hour))
	drain(h, h.started)
	h.table.Load().traits[1].seen = 0
	require.Equal(t, 1, h.expire(h.started.Add(time.Hour)))
	assert.Len(t, h.table.Load().free, 2)
}

// Who looks at a scraper that is split sees what some part has not.
func TestLookingAtASplitScraper(t *testing.T) {
	s := serve(t, Config{})
	s.push(string(fleet(20, 1, base)))
	s.get(partPath(1, 2, "&drain=1"))
	s.get("/-/ready")
	assert.Equal(t, 20, strings.Count(s.get("/metrics"), "gatewayID"))
}

// A hub that was told that it stops believes a scrape whose connection it closes.
func TestRetiredHubBelievesAScrapeOnAConnectionItCloses(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	s.Retire()
	assert.Equal(t, at("x", 1, 0), s.scrape())
	require.NoError(t, s.http.Close()) // which does not retire it again
	s.await(0)
}

// More may be held than is given at once; it comes in order all the same.
func TestMoreIsHeldThanABite(t *testing.T) {
	h := newHub(t, Config{MaxScrapeSamples: 2})
	s := h.scrapers[""]
	const samples = 8
	for i := range int64(samples) {
		ingestAt(t, h, []byte(at("x", i, i)))
	}
	for i := range int64(samples) {
		assert.Equal(t, []string{line("x", i)}, drainPart(h, h.started, s, s.parts[0], request{parts: 1, onlyFirst: true}))
	}
	assert.Zero(t, h.Stats().Pending)
}

// Samples of known series are counted as their own gateway's.
func TestKnownSeriesCountForTheirGateway(t *testing.T) {
	h := newHub(t, Config{})
	body := []byte(gatewayBody("a", 3, 1) + gatewayBody("b", 2, 1) + "x 1\n" + gatewayBody("a", 3, 1))
	for range 3 {
		ingestAt(t, h, body)
	}
	gateways := h.table.Load().members
	assert.Equal(t, []int{18, 6, 3}, []int{gateways["a"].held, gateways["b"].held, gateways[""].held})
}

package edgehub

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// silence is a hub in a bubble of time. Times of samples are seconds from its beginning.
type silence struct {
	*Hub
	t     *testing.T
	began time.Time
}

func inSilence(t *testing.T, cfg Config, test func(s *silence)) {
	synctest.Test(t, func(t *testing.T) { test(&silence{newWholeHub(t, cfg), t, time.Now()}) })
}

// at waits for a time.
func (s *silence) at(seconds float64) {
	time.Sleep(time.Until(s.began.Add(time.Duration(seconds * float64(time.Second)))))
}

// push pushes series, each with a sample of now.
func (s *silence) push(series ...string) {
	s.t.Helper()
	var body strings.Builder
	for _, name := range series {
		fmt.Fprintf(&body, "%s 1 %d\n", name, time.Now().UnixMilli())
	}
	_, err := s.Push(s.t.Context(), Text, []byte(body.String()))
	require.NoError(s.t, err)
}

// every does things at each interval, from the first to the last time.
func (s *silence) every(interval, from, to float64, things ...func()) {
	for at := from; at <= to; at += interval {
		s.at(at)
		for _, do := range things {
			do()
		}
	}
}

// scrape has a scraper take everything.
func (s *silence) scrape() {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(s.t.Context(), "GET", "/metrics?drain=1", nil))
	require.Equal(s.t, 200, w.Code)
}

// ended is the times of the markers of a series that wait, in seconds.
func (s *silence) ended(series string) (at []float64) {
	for name, p := range s.Pending() {
		if name == series && isMarker(p) {
			at = append(at, float64(p.Time-s.began.UnixMilli())/1000)
		}
	}
	return at
}

// look looks for silent gateways, as a scrape does before it takes anything.
func (s *silence) look() {
	s.web.EndSilent(time.Now())
}

const a, b = `x{gatewayID="a"}`, `x{gatewayID="b"}`

// A gateway that is silent for three of its intervals ends half an interval after its last sample; others go
// on.
func TestSilentGatewayEnds(t *testing.T) {
	for _, interval := range []float64{1, 15, 60, 240} {
		inSilence(t, Config{}, func(s *silence) {
			last := 10 * interval
			if interval < 10 {
				last = 60
			}
			s.every(interval, 0, last, func() { s.push(a, b) }, s.scrape)
			after := max(30, 3*interval)
			s.every(min(interval, 15), last+min(interval, 15), last+after-1, func() { s.push(b) }, s.look)
			assert.Empty(t, s.ended(a), "too early")
			s.at(last + after + 5)
			s.push(b)
			s.look()
			assert.Equal(t, []float64{last + interval/2}, s.ended(a), "interval %v", interval)
			assert.Equal(t, s.ended(a), s.ended(firstSample+`{gatewayID="a"}`))
			assert.Empty(t, s.ended(b))
			s.at(last + 10*after)
			s.push(b)
			s.look()
			assert.Len(t, s.ended(a), 1, "it is ended twice")
			assert.EqualValues(t, 2, s.Stats().Markers)
			firsts := s.Stats().FirstSamples
			s.push(a)
			assert.Equal(t, firsts+1, s.Stats().FirstSamples, "it comes back")
		})
	}
}

// A scrape has the markers of the gateways that are silent when it comes.
func TestScrapeEndsSilentGateways(t *testing.T) {
	inSilence(t, Config{}, func(s *silence) {
		s.every(15, 0, 150, func() { s.push(a) }, s.scrape)
		s.every(15, 165, 195, s.scrape)
		assert.EqualValues(t, 2, s.Stats().Markers)
		assert.Zero(t, s.Stats().Pending)
		assert.EqualValues(t, 11+1+2, s.Stats().Scraped)
	})
}

// What comes in bursts, or is late now and then, is not silent.
func TestGatewayThatIsNotSilent(t *testing.T) {
	inSilence(t, Config{}, func(s *silence) {
		for minute := 0.0; minute < 30; minute++ {
			for _, second := range []float64{0, 0.1, 0.2, 1, 2, 3} { // six pushes a report
				s.at(60*minute + second)
				s.push(a)
			}
			s.every(10, 60*minute+5, 60*minute+55, s.look)
		}
		s.at(30*60 + 50) // 107 s late
		s.look()
		s.push(a)
		assert.Zero(t, s.Stats().Markers)
	})
}

// Less than four reports tell no interval.
func TestGatewayThatPushedSeldom(t *testing.T) {
	inSilence(t, Config{}, func(s *silence) {
		s.every(20, 0, 40, func() { s.push(a) })
		s.every(60, 60, 1800, s.look)
		assert.Zero(t, s.Stats().Markers)
	})
}

func TestNeverEndsByItself(t *testing.T) {
	inSilence(t, Config{EndsAfter: -1}, func(s *silence) {
		s.every(15, 0, 150, func() { s.push(a) })
		s.every(60, 180, 3000, s.look)
		assert.Zero(t, s.Stats().Markers)
		require.NoError(t, s.End(t.Context(), []GatewayEnd{{"a", time.Now().UnixMilli()}}))
		assert.NotZero(t, s.Stats().Markers)
	})
}

// A hub that is full, or that was halted, takes no gateway for silent that could not push.
func TestFullHubTakesNobodyForSilent(t *testing.T) {
	inSilence(t, Config{MaxSamples: 8}, func(s *silence) {
		s.every(15, 0, 60, func() { s.push(a) })
		push := func() {
			_, err := s.Push(t.Context(), Text, []byte(fmt.Sprintf("%s 1 %d\n%s 1 %d\n%s 1 %d\n", a, time.Now().UnixMilli(), b, time.Now().UnixMilli(), a, time.Now().UnixMilli()+1)))
			assert.Error(t, err)
		}
		s.every(15, 75, 600, push, s.look)
		s.scrape()
		s.every(15, 615, 705, s.look)
		assert.Zero(t, s.Stats().Markers)
		s.at(780)
		s.look()
		assert.NotZero(t, s.Stats().Markers)
	})
}

func TestHaltedHubTakesNobodyForSilent(t *testing.T) {
	inSilence(t, Config{}, func(s *silence) {
		s.every(15, 0, 60, func() { s.push(a) }, s.look)
		s.every(15, 600, 630, s.look)
		assert.Zero(t, s.Stats().Markers)
		s.at(645)
		s.look()
		assert.NotZero(t, s.Stats().Markers)
	})
}

// Where there is no room for markers they are tried again.
func TestSilentGatewayWaitsForRoom(t *testing.T) {
	inSilence(t, Config{MaxSamples: 8}, func(s *silence) {
		s.every(15, 0, 90, func() { s.push(a) }) // 7, and the first one's time
		s.every(15, 105, 200, s.look)
		assert.Zero(t, s.Stats().Markers)
		s.scrape()
		s.every(15, 210, 600, s.look)
		assert.EqualValues(t, 2, s.Stats().Markers)
	})
}

// The time of the first sample is written again each hour, beside the newest sample.
func TestFirstSampleIsWrittenAgain(t *testing.T) {
	inSilence(t, Config{}, func(s *silence) {
		s.every(60, 7, 3*3600+7, func() { s.push(a) })
		var at []float64
		for name, p := range s.Pending() {
			if name == firstSample+`{gatewayID="a"}` {
				at = append(at, float64(p.Time-s.began.UnixMilli())/1000)
				assert.InDelta(t, float64(s.began.UnixMilli())/1000+7, p.Value, 1e-6)
			}
		}
		assert.Equal(t, []float64{7, 3607, 7207, 10807}, at)
	})
}

// A gateway that is forgotten, since nothing of it came for long, comes anew.
func TestForgottenGatewayComesAnew(t *testing.T) {
	inSilence(t, Config{EndsAfter: -1, IdleSeries: time.Hour}, func(s *silence) {
		s.push(a)
		s.scrape()
		s.every(600, 600, 3*3600, func() { s.push(b) }, s.scrape, s.scrape)
		assert.Equal(t, 1, s.Stats().Series)
		assert.Len(t, s.store.Table().Ranked().Order, 2)
		assert.EqualValues(t, 4, s.Stats().FirstSamples, "b is written again")
		s.push(`y{gatewayID="c"}`) // which may get the number of a
		s.push(a)
		assert.EqualValues(t, 6, s.Stats().FirstSamples)
		require.NoError(t, s.End(t.Context(), []GatewayEnd{{"a", time.Now().UnixMilli() + 5}}))
		assert.EqualValues(t, 2, s.Stats().Markers)
	})
}

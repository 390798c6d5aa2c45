package intake

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/render"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/exposition"
)

var soak = flag.Duration("soak", time.Second, "how long TestExpiryMixesNothingUp pushes")

// Series come and go, ever new ones, while many push, scrape in one part and in two, look and
// expire at the same time: each sample that was taken comes once to each scraper, and bears
// the name that it was pushed with.
//
//	go test -race ./edgehub/internal/intake -run TestExpiryMixesNothingUp -soak=30s
func TestExpiryMixesNothingUp(t *testing.T) {
	const pushers, perPush, leastRounds = 4, 20, 50
	s := store.New(store.Config{
		Series: series.Limits{Series: 1 << 20, GatewaySeries: 1 << 20, TableBytes: 1 << 30}, Samples: 1 << 22,
		IdleSeries: time.Hour, Scrapers: []string{"one", "two"},
	})
	in := New(Config{Limits: exposition.DefaultLimits, GatewayLabel: "gatewayID", MaxSamples: 1 << 20}, s, body.NewRoom(1<<30))
	now := time.Now()
	var pushed [pushers]int
	var pushing, others sync.WaitGroup
	for p := range pushers {
		pushing.Go(func() {
			for i := 0; (i < leastRounds || time.Since(now) < *soak) && !t.Failed(); i++ {
				var text strings.Builder
				text.WriteString("# TYPE x gauge\n")
				for n := range perPush { // half of them known for a while, half quite new
					v := p*1_000_000 + i/10 + n
					if n%2 == 0 {
						v = p*1_000_000 + 100_000 + i*perPush + n
					}
					fmt.Fprintf(&text, "x{gatewayID=\"%d\",v=\"%d\"} %d\n", v%7, v, v)
				}
				if _, _, err := in.Text([]byte(text.String()), now); !assert.NoError(t, err) {
					return
				}
				pushed[p]++
				awaitReaders(s)
			}
		})
	}
	ended := make(chan struct{})
	until := func(do func()) {
		others.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
					do()
				}
			}
		})
	}
	expire := func() { s.Expire(now.Add(time.Hour), func(keep []bool) { _ = append([]bool(nil), keep...) }) }
	until(expire)
	until(expire)
	until(func() {
		for _, g := range s.Gateways() {
			assert.Positive(t, g.Series)
		}
		v, rank := s.ReadWaiting()
		checkNames(t, arrange.Arrange(v, rank, arrange.Everything))
	})
	var got [3]int
	readers := []func(){
		func() { got[0] += scrape(t, s, 0, 0, 1) },
		func() { got[1] += scrape(t, s, 1, 0, 2) },
		func() { got[2] += scrape(t, s, 1, 1, 2) },
	}
	for _, read := range readers {
		until(read)
	}
	pushing.Wait()
	close(ended)
	others.Wait()
	for _, read := range readers {
		read()
	}
	total := 0
	for _, n := range pushed {
		total += n * perPush
	}
	assert.Equal(t, total, got[0])
	assert.Equal(t, total, got[1]+got[2])
	assert.Zero(t, s.Log.Behind())
	assert.NotZero(t, s.Expired())
	s.Expire(now.Add(time.Hour), func([]bool) {})
	s.Expire(now.Add(time.Hour), func([]bool) {})
	assert.Zero(t, s.Table().Size())
	assert.Empty(t, s.Gateways())
	assert.Empty(t, s.Table().Ranked().Families)
	t.Logf("%d samples, %d series expired, %d tables", total, s.Expired(), s.Table().Generation)
}

// awaitReaders waits for the readers where they are far behind, so that the log stays small.
func awaitReaders(s *store.Store) {
	for {
		behind, moved := s.Log.Left()
		if behind < 200_000 {
			return
		}
		<-moved
	}
}

// scrape reads a part of a scraper, writes it as text, and takes it.
func scrape(t *testing.T, s *store.Store, scraper, part, parts int) int {
	c, _ := s.Log.Cursor(scraper, part, parts)
	v, rank := s.Read(c, math.MaxUint64)
	choice := arrange.Everything
	choice.Part, choice.Parts = part, parts
	a := arrange.Arrange(v, rank, choice)
	var out bytes.Buffer
	assert.NoError(t, render.Text(&out, a, exposition.AllowUTF8, nil))
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if !assert.Contains(t, fields[0], fmt.Sprintf(`v="%s"`, fields[1])) {
			break
		}
	}
	s.Table().Touch(time.Now().Add(-24*time.Hour), a.Holds)
	passed, moved := s.Log.Take(s.Log.Offer(c, a.From, a.To, a.Tally))
	assert.True(t, moved)
	return passed.Passed
}

// checkNames checks that each sample of an arrangement has its name.
func checkNames(t *testing.T, a *arrange.Arrangement) {
	for _, id := range a.Rank.Order {
		for _, p := range a.Of(id) {
			if !strings.Contains(a.Rank.Text(id), fmt.Sprintf(`v="%.0f"`, p.Value)) {
				assert.Fail(t, "a sample has another's name", "%s %f", a.Rank.Text(id), p.Value)
				return
			}
		}
	}
}

// A push whose table is replaced while it is read is read again, and nobody sees it.
func TestPushIsReadAgain(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	f.push("gone 1\nstays 1\n")
	f.drain()
	in, old := f.reading("new 1\nstays 2\n"), f.store.Table()
	require.NoError(t, in.read(old, 0))
	require.Equal(t, 2, f.expire(f.began.Add(time.Hour)))
	_, err := f.store.Commit(old, &in.batch, f.began)
	require.ErrorIs(t, err, series.ErrReplaced)
	n, _, err := f.Text([]byte("new 1\nstays 2\n"), f.began)
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	assert.Equal(t, 2, f.store.Log.Behind())
}

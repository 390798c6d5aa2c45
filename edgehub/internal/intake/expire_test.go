package edgehub

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// drain reads everything as a scrape at a time would, and returns the lines.
func drain(h *Hub, now time.Time) []string {
	s := h.scrapers[""]
	return drainPart(h, now, s, s.parts[0], request{parts: 1})
}

func drainPart(h *Hub, now time.Time, s *scraper, c *cursor, q request) []string {
	v, t, most := h.log.read(c)
	what := everything
	what.part, what.parts, what.most, what.onlyFirst = q.part, q.parts, most, q.onlyFirst
	a := arrange(v, t.ranked(), what)
	var out strings.Builder
	if err := a.write(&out, false); err != nil {
		panic(err)
	}
	if passed, moved := h.log.advance(c, a); moved {
		h.metrics.handedOver(s, passed)
		h.table.Load().touch(a.shares, now)
		h.sweep(now)
	}
	return slices.DeleteFunc(strings.Split(out.String(), "\n"), func(line string) bool { return line == "" })
}

func TestIdleSeriesAreForgotten(t *testing.T) {
	h := newHub(t, Config{IdleSeries: time.Hour})
	now := h.started
	push := func(body string) {
		t.Helper()
		_, err := h.ingest([]byte(body), now)
		require.NoError(t, err)
	}
	push("# TYPE gone gauge\ngone 1\nstays 1\nodd_bucket{le=\"x\"} 1\n")
	drain(h, now)
	for range 5 {
		now = now.Add(20 * time.Minute)
		push("stays 1\n")
		drain(h, now)
	}
	assert.Equal(t, 1, h.Stats().Series)
	assert.Len(t, h.table.Load().families, 1)
	assert.Equal(t, 1, int(h.table.Load().index.count))

	// Its number is used again, and the sender that comes back is a new series.
	push("# TYPE gone gauge\ngone 2\nstays 2\nnew 3\n")
	stamp := strconv.FormatInt(now.UnixMilli(), 10)
	assert.Equal(t, []string{"# TYPE gone gauge", "gone 2 " + stamp, "new 3 " + stamp, "stays 2 " + stamp}, drain(h, now))
	assert.Len(t, h.table.Load().traits, 3)
}

// While no scraper comes, nothing that waits may lose its name.
func TestWaitingSeriesAreKept(t *testing.T) {
	h := newHub(t, Config{IdleSeries: time.Hour})
	now := h.started
	_, err := h.ingest([]byte("x 1 5\n"), now)
	require.NoError(t, err)
	now = now.Add(24 * time.Hour)
	h.sweep(now)
	assert.Equal(t, []string{"x 1 5"}, drain(h, now))
	assert.Equal(t, 1, h.Stats().Series, "it was scraped just now")
	h.sweep(now.Add(2 * time.Hour))
	assert.Zero(t, h.Stats().Series)
}

// A push that read its names from a table that is replaced before its samples are
// in the log reads them again.
func TestPushOutlivesItsTable(t *testing.T) {
	h := newHub(t, Config{})
	ingestAt(t, h, []byte("gone 1\nstays 1\n"))
	drain(h, h.started)
	old := h.table.Load()
	var batch columns
	batch.add(1, base, 1)
	require.Equal(t, 2, h.expire(h.started.Add(time.Hour)))
	_, err := h.log.append(old, &batch, []run{{old.members[""].gateway, 1}}, 0)
	require.ErrorIs(t, err, errReplaced)
	require.ErrorIs(t, old.learn(&newcomers{}, h.started, nil), errReplaced)
	ingestAt(t, h, []byte("new 1 5\nstays 2 6\n"))
	assert.Equal(t, []string{"new 1 5", "stays 2 6"}, drain(h, h.started))
}

// Series come and go while others push, scrape and expire: each sample still
// bears the name that it was pushed with.
func TestExpiryMixesNothingUp(t *testing.T) {
	h := newHub(t, Config{MaxSamples: 1 << 20})
	const pushers, rounds = 4, 300
	var pushing sync.WaitGroup
	for p := range pushers {
		pushing.Go(func() {
			for i := range rounds {
				var body strings.Builder
				for n := range 20 {
					v := p*1000 + (i/10+n)%100 // the names change slowly
					fmt.Fprintf(&body, "x{gatewayID=\"%d\",v=\"%d\"} %d %d\n", p, v, v, base+int64(i))
				}
				if _, err := h.ingest([]byte(body.String()), h.started); !assert.NoError(t, err) {
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { pushing.Wait(); close(done) }()
	lines, expired := 0, 0
	check := func() {
		for _, line := range drain(h, h.started) {
			fields := strings.Fields(line)
			require.Contains(t, fields[0], fmt.Sprintf(`v="%s"`, fields[1]))
			lines++
		}
	}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		expired += h.expire(h.started.Add(time.Hour)) // whatever does not wait
		check()
	}
	check()
	assert.Equal(t, pushers*rounds*20, lines)
	assert.NotZero(t, expired)
	h.expire(h.started.Add(time.Hour))
	assert.Zero(t, h.Stats().Series)
	assert.Empty(t, h.table.Load().members)
	assert.Empty(t, h.table.Load().families)
}

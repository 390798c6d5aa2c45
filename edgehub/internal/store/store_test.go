package store

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/words"
)

// hub is a store with a way in and a way out that are as short as they can be.
type hub struct {
	*Store
	t   testing.TB
	now time.Time
}

func newHub(t testing.TB, cfg Config) *hub {
	if cfg.Series == (series.Limits{}) {
		cfg.Series = series.Limits{Series: 1e6, GatewaySeries: 1e6, TableBytes: 1e9}
	}
	if cfg.Samples == 0 {
		cfg.Samples = 4e6
	}
	if cfg.IdleSeries == 0 {
		cfg.IdleSeries = time.Hour
	}
	if cfg.Scrapers == nil {
		cfg.Scrapers = []string{""}
	}
	return &hub{New(cfg), t, time.Now()}
}

// at is a line of a push.
func at(series string, value, ms int64) string { return fmt.Sprintf("%s %d %d\n", series, value, ms) }

// lines are those of a series with the values from one to another, each at the time that
// is its value.
func lines(series string, from, to int64) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, strings.TrimSpace(at(series, i, i)))
	}
	return all
}

func body(lines []string) string { return strings.Join(lines, "\n") + "\n" }

// fleet is a push with a series for each of so many gateways.
func fleet(gateways int, ms int64) string {
	var b strings.Builder
	for g := range gateways {
		b.WriteString(at(fmt.Sprintf(`x{gatewayID="gw%d"}`, g), int64(g), ms))
	}
	return b.String()
}

// gatewayBody is a push of one gateway.
func gatewayBody(gateway string, series, samples int) string {
	var b strings.Builder
	for i := range samples {
		for n := range series {
			b.WriteString(at(fmt.Sprintf(`x{gatewayID="%s",n="%d"}`, gateway, n), int64(i), int64(i)))
		}
	}
	return b.String()
}

// read fills a batch with lines, each a series without a blank, a value and a time, or
// "# TYPE name type". Behind the time there may be how many bytes an exemplar of the sample has.
func read(table *series.Table, lines string) *Batch {
	b := &Batch{}
	for line := range strings.Lines(lines) {
		fields := strings.Fields(line)
		raw := []byte(fields[0])
		if fields[0] == "#" {
			raw = []byte(strings.TrimSpace(line))
		}
		hash := table.Index.Hash(series.Text, raw)
		known := table.Index.Find(series.Text, hash, raw)
		n := series.Newcomer{Raw: raw, Hash: hash, Text: series.Whole(raw)}
		if fields[0] == "#" {
			if known == 0 {
				n.Kind, n.Name, n.Text = series.OfType, b.Names.Keep([]byte(fields[2])), b.Names.Keep([]byte(fields[3]))
				b.Names.List = append(b.Names.List, n)
			}
			continue
		}
		value, _ := strconv.ParseFloat(fields[1], 64)
		ms, _ := strconv.ParseInt(fields[2], 10, 64)
		var following []float64
		if len(fields) > 3 {
			bytes, _ := strconv.Atoi(fields[3])
			following = words.AppendExemplar([]float64{words.Start(ms)}, make([]byte, bytes))
		}
		if known != 0 {
			sp := table.Index.At(known)
			b.Add(sp.ID, ms, value)
			b.AddFollowing(false, following)
			b.AddRun(sp.Gateway(), 1+len(following))
			continue
		}
		name, labels, _ := strings.Cut(fields[0], "{")
		n.Name = b.Names.Keep([]byte(name))
		if _, gateway, ok := strings.Cut(labels, `gatewayID="`); ok {
			gateway, _, _ = strings.Cut(gateway, `"`)
			n.Gateway = b.Names.Keep([]byte(gateway))
		}
		h := fnv.New64a()
		h.Write(raw)
		n.Group = uint32(h.Sum64() * 0x9e3779b97f4a7c15 >> 32)
		b.Names.List = append(b.Names.List, n)
		b.AddUnknown(ms, value)
		b.AddFollowing(true, following)
	}
	return b
}

// try pushes, and returns what room had to be made.
func (h *hub) try(lines string) (samples.Made, error) {
	for {
		table := h.Table()
		m, err := h.Commit(table, read(table, lines), h.now)
		if !errors.Is(err, series.ErrReplaced) {
			return m, err
		}
	}
}

func (h *hub) push(lines string) {
	h.t.Helper()
	_, err := h.try(lines)
	require.NoError(h.t, err)
}

// refused pushes what must be refused, and checks that nothing of it stays.
func (h *hub) refused(lines, reason string) string {
	h.t.Helper()
	size, bytes, gateways, behind := h.Table().Size(), h.Table().Bytes(), h.Gateways(), h.Log.Behind()
	_, err := h.try(lines)
	var full *FullError
	require.ErrorAs(h.t, err, &full)
	assert.Equal(h.t, reason, full.Reason)
	assert.Equal(h.t, []any{size, bytes, gateways, behind}, []any{h.Table().Size(), h.Table().Bytes(), h.Gateways(), h.Log.Behind()})
	return full.Error()
}

// response is what was read for a scraper and not settled yet.
type response struct {
	c    *samples.Cursor
	a    *arrange.Arrangement
	text []string
}

// all is the choice of a scraper in one part.
var all = arrange.Everything

func one() arrange.Choice { c := all; c.One = true; return c }

func most(n int) arrange.Choice { c := all; c.Most = n; return c }

func part(part, parts int) arrange.Choice { c := all; c.Part, c.Parts = part, parts; return c }

// read reads for a scraper.
func (h *hub) read(scraper int, choice arrange.Choice) *response {
	c, _ := h.Log.Cursor(scraper, choice.Part, choice.Parts)
	return h.readAt(c, choice)
}

func (h *hub) readAt(c *samples.Cursor, choice arrange.Choice) *response {
	v, rank := h.Read(c, math.MaxUint64)
	a := arrange.Arrange(v, rank, choice)
	r := &response{c: c, a: a}
	defer func() { require.Zero(h.t, a.Cut()) }()
	for _, id := range rank.Order {
		for _, p := range a.Of(id) {
			line := strconv.AppendFloat([]byte(rank.Text(id)+" "), p.Value, 'g', -1, 64)
			line = strconv.AppendInt(append(line, ' '), p.Time, 10)
			if following := a.Words(id, p.Time); following != nil {
				var s words.Sample
				s.Read(p.Value, following)
				require.Zero(h.t, s.Cut)
				require.Equal(h.t, p.Time, s.Start)
				require.Len(h.t, s.Exemplars, 1)
				line = strconv.AppendInt(append(line, ' '), int64(len(s.Exemplars[0])), 10)
			}
			r.text = append(r.text, string(line))
		}
	}
	return r
}

func (h *hub) offer(r *response) *samples.Offer { return h.Log.Offer(r.c, r.a.From, r.a.To, r.a.Tally) }

// settle has a scraper take what was read for it, as a scrape does that is confirmed.
func (h *hub) settle(r *response) (samples.Tally, bool) {
	h.Table().Touch(h.now, r.a.Holds)
	t, moved := h.Log.Take(h.offer(r))
	h.Sweep(h.now, func([]bool) {})
	return t, moved
}

// take is a scrape, confirmed.
func (h *hub) take(scraper int, choice arrange.Choice) []string {
	r := h.read(scraper, choice)
	h.settle(r)
	return r.text
}

func (h *hub) pending() int {
	n, _ := h.Log.Pending()
	return n
}

func nothing([]bool) {}

// A batch is committed as a whole: known series, new ones, some of which are twice there.
func TestCommit(t *testing.T) {
	h := newHub(t, Config{})
	h.push(at("x", 1, 1) + at(`y{gatewayID="a"}`, 2, 1))
	h.push(at(`y{gatewayID="a"}`, 3, 2) + at("new", 4, 2) + at("x", 5, 2) + at("new", 6, 3) + at(`new{gatewayID="b"}`, 7, 3))
	assert.Equal(t, 4, h.Table().Size())
	assert.Equal(t, []string{"new 4 2", "new 6 3", `new{gatewayID="b"} 7 3`, "x 1 1", "x 5 2", `y{gatewayID="a"} 2 1`, `y{gatewayID="a"} 3 2`}, h.take(0, all))
	assert.Zero(t, h.pending())
	m, err := h.try("")
	assert.NoError(t, err)
	assert.Zero(t, m)
}

// Words are of the series that they follow, of a new one as well.
func TestCommitWords(t *testing.T) {
	h := newHub(t, Config{})
	body := `x 1 1 7
y{gatewayID="a"} 2 1 14
z 3 1
x 4 2 21
z{gatewayID="b"} 5 1 28
`
	for range 2 { // the second time all are known
		h.push(body)
		assert.Equal(t, 5+4*2+2+3+4+5, h.pending(), "with a start time and an exemplar's head each, and what the exemplars take")
		assert.ElementsMatch(t, strings.Split(strings.TrimSpace(body), "\n"), h.take(0, all))
		assert.Zero(t, h.pending())
	}
}

// A batch that is refused leaves nothing behind, not even names, whoever refuses it.
func TestRefusedBatchLeavesNothing(t *testing.T) {
	h := newHub(t, Config{Series: series.Limits{Series: 100, GatewaySeries: 50, TableBytes: 9000}, Samples: 200})
	h.push(gatewayBody("a", 10, 1))
	h.refused(gatewayBody("b", 49, 1)+gatewayBody("c", 42, 1), "series_limit")
	assert.Contains(t, h.refused(gatewayBody("b", 1, 1)+gatewayBody("a", 51, 1), "gateway_series"), `gateway "a" has 10 series, with this push it were 51, and the limit is 50`)
	h.refused(at("x"+strings.Repeat("y", 9000), 1, 1), "table_bytes")
	h.refused(gatewayBody("b", 1, 201), "too_many_samples")
	h.refused(gatewayBody("a", 10, 21), "too_many_samples") // of known series
	h.push(gatewayBody("c", 1, 150))
	h.refused(gatewayBody("d", 1, 41), "hub_full")
	assert.Contains(t, h.refused(gatewayBody("d", 1, 39)+gatewayBody("c", 2, 1), "gateway_share"),
		`the hub has little room left and keeps it for others: gateway "c" holds 150 samples`)
	h.push(gatewayBody("d", 1, 39))
	assert.Equal(t, 12, h.Table().Size())
	assert.Equal(t, 199, h.pending())
}

// The number of a gateway whose first push was refused goes to the next one, which is not
// taken for it.
func TestNumberOfARefusedGateway(t *testing.T) {
	h := newHub(t, Config{Samples: 10})
	h.refused(gatewayBody("refused", 1, 11), "too_many_samples")
	h.push(gatewayBody("a", 1, 2))
	require.Len(t, h.Gateways(), 1)
	assert.Equal(t, Gateway{"a", 1, h.now.UnixMilli()}, h.Gateways()[0])
	assert.Equal(t, "a", h.Table().GatewayName(1))
}

// A push has sealed what waits for long, and a refused one does so, too.
func TestCommitSeals(t *testing.T) {
	for _, full := range []bool{false, true} {
		h := newHub(t, Config{Samples: 80})
		body := strings.Join(lines("x", 0, 72), "\n") + "\n"
		h.push(body)
		h.push(at("x", 72, 72))
		h.Close()
		sealed, _ := h.Log.Sealed()
		assert.Zero(t, sealed)
		h.now = h.now.Add(3 * time.Minute)
		if full {
			h.refused(body, "hub_full")
		} else {
			h.push(at("x", 73, 73))
		}
		h.Close()
		sealed, _ = h.Log.Sealed()
		assert.Equal(t, 64, sealed)
		assert.Subset(t, h.take(0, all), lines("x", 0, 73))
	}
}

// The type of a family that contradicts one that is known is counted, and nothing else.
func TestConflicts(t *testing.T) {
	h := newHub(t, Config{})
	h.push("# TYPE x counter\n" + at("x", 1, 1))
	h.push("# TYPE x gauge\n" + at("x", 2, 2))
	assert.EqualValues(t, 1, h.Conflicts())
	_, rank := h.ReadWaiting()
	require.Len(t, rank.Families, 1)
	assert.Equal(t, "counter", rank.Families[0].Type)
}

// Who looks at a scraper that is split sees what some part has not, and at a part what it
// has not, and splits nothing.
func TestPeek(t *testing.T) {
	h := newHub(t, Config{Scrapers: []string{"a", "b"}})
	h.push(fleet(20, 1))
	h.take(0, part(0, 2))
	peek := func(scraper, part, parts int) int {
		v, rank := h.Peek(scraper, part, parts)
		c := all
		c.Part, c.Parts = part, parts
		return arrange.Arrange(v, rank, c).Samples()
	}
	assert.Equal(t, 20, peek(0, 0, 1))
	assert.Zero(t, peek(0, 0, 2))
	assert.Equal(t, peek(1, 1, 2), peek(0, 1, 2))
	assert.Equal(t, 20, peek(1, 0, 3)+peek(1, 1, 3)+peek(1, 2, 3))
	assert.Equal(t, []int{2, 1}, h.Log.Splits(0))
	assert.Equal(t, []int{1}, h.Log.Splits(1))
	v, _ := h.ReadWaiting()
	assert.EqualValues(t, 20, v.To-v.From)
}

package series

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// learner is a table that learns lines: a series such as x{gatewayID="a"}, one with the word
// odd behind it for a bound that is no number, or a TYPE or HELP line.
type learner struct {
	*Table
	t   *testing.T
	now time.Time
}

func newLearner(t *testing.T, limits Limits) *learner {
	return &learner{NewTable(limits, nil), t, time.Now()}
}

var roomy = Limits{Series: 1e6, GatewaySeries: 1e6, TableBytes: 1e9}

func (l *learner) try(lines ...string) error {
	names := &Newcomers{}
	for _, line := range lines {
		words := strings.SplitN(line, " ", 4)
		n := Newcomer{}
		if words[0] == "#" {
			n.Raw, n.Kind, n.Name, n.Text = []byte(line), OfType, names.Keep([]byte(words[2])), names.Keep([]byte(words[3]))
			if words[1] == "HELP" {
				n.Kind = OfHelp
			}
		} else {
			n.Raw, n.Odd = []byte(words[0]), len(words) > 1
			n.Text = Whole(n.Raw)
			name, labels, _ := strings.Cut(words[0], "{")
			n.Name = names.Keep([]byte(name))
			if _, gateway, ok := strings.Cut(labels, `gatewayID="`); ok {
				gateway, _, _ = strings.Cut(gateway, `"`)
				n.Gateway = names.Keep([]byte(gateway))
			}
		}
		n.Hash = l.Index.Hash(Text, n.Raw)
		if l.Index.Find(Text, n.Hash, n.Raw) == 0 {
			names.List = append(names.List, n)
		}
	}
	return l.Learn(names, l.now, func() error { return nil }, nil)
}

func (l *learner) learn(lines ...string) {
	l.t.Helper()
	require.NoError(l.t, l.try(lines...))
}

func (l *learner) id(series string) ID {
	return l.Index.At(l.Index.Find(Text, l.Index.Hash(Text, []byte(series)), []byte(series))).ID
}

// holder is who holds samples, of some series and gateways.
type holder struct {
	l        *learner
	series   []ID
	gateways []uint32
	refuses  bool
}

func (h *holder) Mark(keep []bool) {
	for _, id := range h.series {
		keep[id] = true
	}
}

func (h *holder) Holds(gateway uint32) bool { return slices.Contains(h.gateways, gateway) }

func (h *holder) Replace(next *Table, _ []bool) bool {
	if !h.refuses {
		h.l.Table = next
	}
	return !h.refuses
}

// expire forgets what nobody holds.
func (l *learner) expire(h holder) int {
	h.l = l
	return l.Expire(l.now.Add(time.Hour), &h)
}

// Whoever changes a HELP text with each push does not fill the table with it; the newest
// stays.
func TestFewHelpLinesAreRemembered(t *testing.T) {
	l := newLearner(t, roomy)
	for i := range 5 * maxSpellings {
		l.learn(fmt.Sprintf("# HELP x Text %d.", i))
	}
	l.learn("x")
	assert.EqualValues(t, maxSpellings+1, l.Index.count)
	assert.Equal(t, fmt.Sprintf("Text %d.", 5*maxSpellings-1), l.Ranked().Families[0].Help)
}

// Nor does a sender that writes a series in ever other ways.
func TestFewSpellingsAreRemembered(t *testing.T) {
	l := newLearner(t, roomy)
	for i := range 5 * maxSpellings {
		names := &Newcomers{}
		raw := []byte("x{" + strings.Repeat(" ", i) + "}")
		names.List = append(names.List, Newcomer{Raw: raw, Hash: l.Index.Hash(Text, raw), Name: names.Keep([]byte("x")), Text: names.Keep([]byte("x"))})
		require.NoError(t, l.Learn(names, l.now, func() error { return nil }, nil))
		assert.Zero(t, names.List[0].ID)
	}
	assert.Equal(t, 1, l.Size())
	assert.EqualValues(t, maxSpellings, l.Index.count)
}

// A family of series with odd bounds goes with them, also if its type came later; while they
// are there it has no type.
func TestOddFamiliesAreForgotten(t *testing.T) {
	l := newLearner(t, roomy)
	l.learn(`x_bucket{le="odd"} odd`, "# TYPE x histogram", "x_count")
	for _, f := range l.Ranked().Families {
		assert.Empty(t, f.Type, f.Name)
	}
	require.Equal(t, 1, l.expire(holder{series: []ID{l.id("x_count")}}))
	require.Len(t, l.Ranked().Families, 1)
	assert.Equal(t, "histogram", l.Ranked().Families[0].Type)
	require.Equal(t, 1, l.expire(holder{}))
	assert.Empty(t, l.families)
}

// Families come and go with their series. What their lines were is learned anew.
func TestFamiliesAreForgotten(t *testing.T) {
	l := newLearner(t, roomy)
	l.learn("# TYPE gone gauge", "# TYPE stays gauge", "# HELP stays Help.", "gone", "stays")
	require.Equal(t, 1, l.expire(holder{series: []ID{l.id("stays")}}))
	assert.Equal(t, []string{"stays"}, slices.Collect(maps.Keys(l.families)))
	assert.EqualValues(t, 1, l.Index.count)
	assert.Equal(t, Family{Name: "stays", Type: "gauge", Help: "Help.", To: 1}, l.Ranked().Families[0])
	l.learn("# TYPE stays gauge")
	assert.EqualValues(t, 2, l.Index.count)
}

// A scrape that is handed over after its series' number was given up keeps no number
// from being used again.
func TestNumbersOfNoSeriesStayFree(t *testing.T) {
	l := newLearner(t, roomy)
	l.learn("gone", "stays")
	require.Equal(t, 1, l.expire(holder{series: []ID{1}}))
	l.Touch(l.now.Add(2*time.Hour), func(id ID) bool { return id == 0 })
	require.Equal(t, 1, l.expire(holder{}))
	assert.ElementsMatch(t, []ID{0, 1}, l.free)
	l.learn("new", "newer")
	assert.ElementsMatch(t, []ID{0, 1}, []ID{l.id("new"), l.id("newer")})
	assert.Equal(t, 2, l.traits.len)
}

// A series that was written to a scraper is seen then.
func TestTouchedSeriesStay(t *testing.T) {
	l := newLearner(t, roomy)
	l.learn("x", "y")
	l.Touch(l.now.Add(2*time.Hour), func(id ID) bool { return id == l.id("x") })
	require.Equal(t, 1, l.expire(holder{}))
	assert.Equal(t, "x", l.Ranked().Text(0))
	assert.Equal(t, 1, l.Size())
}

// An expiry that is given up changes nothing of what gateways have.
func TestExpiryThatIsGivenUpLeavesTheGateways(t *testing.T) {
	limits := roomy
	limits.GatewaySeries = 2
	l := newLearner(t, limits)
	l.learn(`x{gatewayID="a"}`, `x{gatewayID="b"}`, `y{gatewayID="a"}`)
	before := l.Table
	require.Zero(t, l.expire(holder{refuses: true}))
	require.Same(t, before, l.Table)
	assert.False(t, l.replaced)

	assert.ErrorContains(t, l.try(`z{gatewayID="a"}`), `gateway "a" has 2 series`)
	l.learn(`z{gatewayID="b"}`)
	for _, sp := range l.Index.all {
		assert.Contains(t, l.Index.text(sp), fmt.Sprintf(`gatewayID=%q`, l.GatewayName(sp.Gateway())))
	}
}

// The number of a gateway without series is not free while samples of it are there, through
// any number of tables.
func TestGatewaysKeepTheirNumbers(t *testing.T) {
	l := newLearner(t, roomy)
	l.learn(`x{gatewayID="a"}`, `x{gatewayID="b"}`, `x{gatewayID="c"}`)
	require.Equal(t, 2, l.expire(holder{series: []ID{2}, gateways: []uint32{1}}))
	assert.Equal(t, []uint32{2}, l.vacant)
	l.learn(`x{gatewayID="d"}`, `x{gatewayID="e"}`)
	assert.Equal(t, []string{"a", "d", "c", "e"}, []string{l.GatewayName(1), l.GatewayName(2), l.GatewayName(3), l.GatewayName(4)})
	require.Equal(t, 3, l.expire(holder{gateways: []uint32{1}}))
	assert.Equal(t, "a", l.GatewayName(1))
	assert.Len(t, l.vacant, 3)
	l.learn("# TYPE f gauge") // so that there is something to forget
	require.Zero(t, l.expire(holder{}))
	assert.Empty(t, l.members)
	assert.Len(t, l.vacant, 4)
}

// Nothing is expired, nor learned, by a table whose place another one has.
func TestReplacedTable(t *testing.T) {
	l := newLearner(t, roomy)
	l.learn("x")
	old := &learner{l.Table, t, l.now}
	require.Equal(t, 1, l.expire(holder{}))
	assert.ErrorIs(t, old.try("y"), ErrReplaced)
	assert.Zero(t, old.expire(holder{}))
	assert.Equal(t, old.Generation+1, l.Generation)
}

// A push that is refused gives the numbers of its new gateways back, and those of the
// others stay.
func TestRefusedNamesLeaveNothing(t *testing.T) {
	l := newLearner(t, Limits{Series: 3, GatewaySeries: 2, TableBytes: 1e9})
	l.learn(`x{gatewayID="a"}`)
	bytes := l.Bytes()
	for _, push := range [][]string{
		{`x{gatewayID="b"}`, `y{gatewayID="a"}`, `z{gatewayID="a"}`},
		{`x{gatewayID="b"}`, `x{gatewayID="c"}`, "x"},
		{"# TYPE f gauge", "# TYPE g gauge", "# TYPE h gauge"},
	} {
		var full *FullError
		require.ErrorAs(t, l.try(push...), &full, push)
		assert.Len(t, l.members, 1)
		assert.Equal(t, bytes, l.Bytes())
	}
	l.learn(`x{gatewayID="d"}`)
	assert.Len(t, l.enlisted, 4, "as many numbers as were needed at once")
}

// Families without a type come before those with one: behind a histogram's TYPE line a
// Prometheus would spell their le differently. A name that reads as part of a summary has none.
func TestFamiliesWithoutATypeComeFirst(t *testing.T) {
	l := newLearner(t, roomy)
	l.learn("# TYPE b histogram", "b_count", "a_bucket", "c_bucket", "# TYPE a summary", "a_sum", "# TYPE a_bucket counter", "# TYPE d gauge", "d")
	var order []string
	for _, f := range l.Ranked().Families {
		for _, id := range l.Ranked().Order[f.From:f.To] {
			order = append(order, l.Ranked().Text(id)+" "+f.Type)
		}
	}
	assert.Equal(t, []string{"a_bucket ", "c_bucket ", "a_sum summary", "b_count histogram", "d gauge"}, order)
}

// Series that came before the type of their histogram was said are in its family, too.
func TestLateTypeBringsSeriesHome(t *testing.T) {
	l := newLearner(t, roomy)
	l.learn(`x_bucket{le="1"}`, "x_sum", "x", "x_countless", "# TYPE x histogram", "x_count")
	families := l.Ranked().Families
	require.Len(t, families, 2)
	assert.Equal(t, Family{Name: "x_countless", To: 1}, families[0])
	assert.Equal(t, Family{Name: "x", Type: "histogram", From: 1, To: 5, Compound: true}, families[1])
	require.Equal(t, 5, l.expire(holder{}))
	assert.Empty(t, l.families)
}

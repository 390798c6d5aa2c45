package arrange

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
)

// world is a table and a log that a test fills sample by sample. Its scraper has read
// nothing.
type world struct {
	t      *testing.T
	table  *series.Table
	log    *samples.Log
	cursor *samples.Cursor
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, table: series.NewTable(series.Limits{Series: 1e6, GatewaySeries: 1e6, TableBytes: 1e9}, nil)}
	w.log = samples.New(1e6, false, []string{""})
	w.cursor, _ = w.log.Cursor(0, 0, 1)
	return w
}

// learn returns the number of a series, or of a line "# TYPE name type" none. A
// name up to its first underscore is that of a histogram.
func (w *world) learn(text string) series.ID {
	raw := []byte(text)
	hash := w.table.Index.Hash(series.Text, raw)
	if n := w.table.Index.Find(series.Text, hash, raw); n != 0 {
		return w.table.Index.At(n).ID
	}
	names := &series.Newcomers{}
	n := series.Newcomer{Raw: raw, Hash: hash, Text: series.Whole(raw)}
	if words := strings.Fields(text); words[0] == "#" {
		n.Kind, n.Name, n.Text = series.OfType, names.Keep([]byte(words[2])), names.Keep([]byte(words[3]))
	} else {
		name, _, _ := strings.Cut(text, "{")
		base, _, _ := strings.Cut(name, "_")
		h := fnv.New64a()
		h.Write([]byte(base))
		n.Name, n.Group = names.Keep([]byte(name)), uint32(h.Sum64()*0x9e3779b97f4a7c15>>32)
	}
	names.List = append(names.List, n)
	require.NoError(w.t, w.table.Learn(names, time.Now(), func() error { return nil }, nil))
	return names.List[0].ID
}

// add appends samples, each written "series@time" or "series@time=value".
func (w *world) add(all ...string) {
	w.t.Helper()
	var batch samples.Columns
	for _, s := range all {
		name, at, _ := strings.Cut(s, "@")
		var ms int64
		var value float64
		n, _ := fmt.Sscanf(at, "%d=%g", &ms, &value)
		require.Positive(w.t, n, s)
		batch.Add(w.learn(name), ms, value)
	}
	_, err := w.log.Append(0, &batch, []samples.Run{{Gateway: 1, Samples: batch.Len()}}, time.Now())
	require.NoError(w.t, err)
}

// small gives the world a log so small that some of a hundred samples can be sealed.
func (w *world) small() {
	w.log = samples.New(200, false, []string{""})
	w.cursor, _ = w.log.Cursor(0, 0, 1)
}

func (w *world) seal() { w.log.Seal(time.Now().Add(time.Hour)) }

func (w *world) arrange(c Choice) *Arrangement {
	v, ok := w.log.Read(w.cursor, math.MaxUint64, 0)
	require.True(w.t, ok)
	return Arrange(v, w.table.Ranked(), c)
}

// take moves the scraper behind an arrangement.
func (w *world) take(a *Arrangement) {
	_, moved := w.log.Take(w.log.Offer(w.cursor, a.From, a.To, a.Tally))
	require.True(w.t, moved)
}

// written is what is written of an arrangement, in its order.
func written(a *Arrangement) (all []string) {
	for _, id := range a.Rank.Order {
		for _, p := range a.Of(id) {
			all = append(all, fmt.Sprintf("%s@%d=%g", a.Rank.Text(id), p.Time, p.Value))
		}
	}
	return all
}

func most(n int) Choice { c := Everything; c.Most = n; return c }

func one(most int) Choice { c := Everything; c.One, c.Most = true, most; return c }

// A sample takes the place of a marker of its time, whichever came first, and is the last that can be
// asked for.
func TestSampleBeforeMarker(t *testing.T) {
	w := newWorld(t)
	mark := func(series string, ms int64) {
		batch := samples.Columns{}
		batch.Add(w.learn(series), ms, samples.Marker())
		_, err := w.log.Append(0, &batch, []samples.Run{{Gateway: 1, Samples: 1}}, time.Now())
		require.NoError(t, err)
	}
	w.add("a@5=1", "only@1=1")
	mark("a", 5)
	mark("b", 7)
	mark("b", 9)
	w.add("b@7=2", "b@6=3")
	mark("only", 2)
	a := w.arrange(Everything)
	for series, at := range map[string]int64{"a": 5, "b": 7, "only": 1} {
		p, is := a.Last(w.learn(series))
		assert.True(t, is)
		assert.Equal(t, at, p.Time, series)
	}
	assert.Equal(t, []string{"a@5=1", "b@6=3", "b@7=2", "b@9=NaN", "only@1=1", "only@2=NaN"}, written(a))
	w.take(a)
	mark("a", 8)
	_, is := w.arrange(Everything).Last(w.learn("a"))
	assert.False(t, is)
}

// Families come by name, their series as they were first seen, samples by time, and of one
// time the last one.
func TestOrder(t *testing.T) {
	w := newWorld(t)
	w.add(`b{n="2"}@5=1`, `b{n="1"}@9=2`, "a@3=3", `b{n="2"}@4=4`)
	w.add("a@3=5", `b{n="2"}@5=6`, "a@1=7", `b{n="1"}@9=8`)
	a := w.arrange(Everything)
	last := func(series string) Point {
		p, is := a.Last(w.learn(series))
		require.True(t, is)
		return p
	}
	assert.Equal(t, Point{5, 6}, last(`b{n="2"}`))
	assert.Equal(t, Point{3, 5}, last("a"))
	assert.Equal(t, 8, a.Samples())
	assert.Equal(t, 3, a.Count(w.learn(`b{n="2"}`)))
	assert.Equal(t, []string{"a@1=7", "a@3=5", `b{n="2"}@4=4`, `b{n="2"}@5=6`, `b{n="1"}@9=8`}, written(a))
	assert.Equal(t, samples.Tally{Passed: 8}, a.Tally)
	assert.Equal(t, []uint64{0, 8}, []uint64{a.From, a.To})
	assert.False(t, a.Holds(w.learn("c")), "a series that came later")
}

// Of many samples of one time, the last of the push stays.
func TestLastOfManyEqualTimesWins(t *testing.T) {
	w := newWorld(t)
	for i := range 200 {
		w.add(fmt.Sprintf("x@%d=%d", i%2, i))
	}
	assert.Equal(t, []string{"x@0=198", "x@1=199"}, written(w.arrange(Everything)))
}

// What lies outside the span of times is passed and not written, and counts for how much
// is enough.
func TestSpanOfTimes(t *testing.T) {
	w := newWorld(t)
	w.add("x@9", "x@10", "x@20", "x@21", "y@1", "y@15")
	c := Everything
	c.Oldest, c.Newest = 10, 20
	a := w.arrange(c)
	assert.Equal(t, []string{"x@10=0", "x@20=0", "y@15=0"}, written(a))
	assert.Equal(t, samples.Tally{Passed: 6, TooOld: 2, Ahead: 1}, a.Tally)
	c.Most = 4
	a = w.arrange(c)
	assert.Equal(t, []string{"x@10=0", "x@20=0"}, written(a))
	assert.Equal(t, samples.Tally{Passed: 4, TooOld: 1, Ahead: 1}, a.Tally)
	assert.EqualValues(t, 4, a.To)
}

// As many as are enough come, the oldest first, also where they lie in several segments.
func TestMost(t *testing.T) {
	w := newWorld(t)
	const all = 20_000
	names := make([]string, all)
	for i := range names {
		names[i] = fmt.Sprintf("x@%d", i)
	}
	w.add(names...)
	for _, n := range []int{1, 8191, 8192, 8193, 20_000, 20_001} {
		a := w.arrange(most(n))
		want := min(n, all)
		assert.EqualValues(t, want, a.To, n)
		assert.Equal(t, samples.Tally{Passed: want}, a.Tally, n)
		points := a.Of(w.learn("x"))
		require.Len(t, points, want)
		assert.EqualValues(t, want-1, points[want-1].Time)
	}
	a := w.arrange(most(0))
	assert.Zero(t, a.To)
	assert.Zero(t, a.Samples())
}

// What is enough does not end between the series of one histogram, as far as its sender wrote them
// together, unless there is nothing else.
func TestMostLeavesHistogramsWhole(t *testing.T) {
	w := newWorld(t)
	w.learn("# TYPE h histogram")
	h := func(ms int) []string {
		return []string{fmt.Sprintf(`h_bucket{le="1"}@%d`, ms), fmt.Sprintf("h_sum@%d", ms), fmt.Sprintf("h_count@%d", ms)}
	}
	w.add(slices.Concat([]string{"x@1"}, h(1), h(2), []string{"h_sum@3", "h_sum@3", "x@3"})...)
	for n, want := range []int{1: 1, 2: 1, 3: 1, 4: 4, 5: 4, 6: 4, 7: 7, 8: 8, 9: 9, 10: 10} {
		a := w.arrange(most(n))
		assert.EqualValues(t, want, a.To, n)
		assert.Equal(t, samples.Tally{Passed: want}, a.Tally, n)
		assert.Equal(t, want, a.Samples(), n)
	}
	c := most(3)
	c.Oldest = 2
	assert.Equal(t, samples.Tally{Passed: 1, TooOld: 1}, w.arrange(c).Tally)
	w.take(w.arrange(most(1)))
	for _, n := range []int{1, 2} { // a histogram that is larger than enough
		assert.Equal(t, n, w.arrange(most(n)).Samples())
	}
	assert.Equal(t, 3, w.arrange(most(4)).Samples())
}

// Each series is in one part, a histogram in one as a whole, and what counts for how much is
// enough are the part's own samples.
func TestParts(t *testing.T) {
	w := newWorld(t)
	w.learn("# TYPE h histogram")
	var all []string
	for i := range 100 {
		all = append(all, fmt.Sprintf("x%d@1=0", i), fmt.Sprintf("x%d@2=0", i))
	}
	w.add(all...)
	w.add(`h_bucket{le="1"}@1`, "h_sum@1", "h_count@1")
	const parts = 4
	var got []string
	homes := map[int]int{}
	for part := range parts {
		c := Everything
		c.Part, c.Parts = part, parts
		lines := written(w.arrange(c))
		got = append(got, lines...)
		homes[strings.Count(strings.Join(lines, " "), "h_")]++
		assert.InDelta(t, 200/parts, len(lines), 30, "part %d", part)

		c.Most = 10
		a := w.arrange(c)
		assert.Equal(t, 10, a.Samples())
		assert.Equal(t, samples.Tally{Passed: 10}, a.Tally)
		assert.Greater(t, a.To, uint64(10))
	}
	assert.Equal(t, map[int]int{3: 1, 0: parts - 1}, homes)
	slices.Sort(got)
	assert.Len(t, slices.Compact(got), 203)
}

// A series may be left for another response, as if its samples were not there, or dropped:
// those are passed, counted by series, and take no place.
func TestAdmit(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		w.add(fmt.Sprintf("left@%d", i), fmt.Sprintf("dropped@%d", i), fmt.Sprintf("x@%d", i))
	}
	c := Everything
	c.Admit = func(id series.ID) Verdict {
		switch id {
		case w.learn("left"):
			return Leave
		case w.learn("dropped"):
			return Drop
		default:
		}
		return Write
	}
	a := w.arrange(c)
	assert.Equal(t, samples.Tally{Passed: 6, SetAside: 3}, a.Tally)
	assert.Equal(t, map[series.ID]int{w.learn("dropped"): 3}, a.SetAside)
	assert.False(t, a.Holds(w.learn("dropped")))
	assert.Equal(t, []string{"x@0=0", "x@1=0", "x@2=0"}, written(a))

	c.Most = 2
	a = w.arrange(c)
	assert.Equal(t, samples.Tally{Passed: 5, SetAside: 3}, a.Tally, "it ends before the third sample that is written")
	assert.EqualValues(t, 8, a.To)
	assert.Equal(t, []string{"x@0=0", "x@1=0"}, written(a))

	c.Most, c.Oldest = math.MaxInt, 100
	a = w.arrange(c)
	assert.Equal(t, samples.Tally{Passed: 6, TooOld: 3, SetAside: 3}, a.Tally, "what is set aside is not too old besides")

	c = Everything
	assert.Nil(t, w.arrange(c).SetAside)
}

// What is dropped takes no place, in whichever segment it lies.
func TestDroppedSamplesTakeNoPlaceInTheNextSegment(t *testing.T) {
	w := newWorld(t)
	const segment = 8192
	var all []string
	for i := range segment + 10 {
		all = append(all, fmt.Sprintf("dropped@%d", i), fmt.Sprintf("x@%d", i))
	}
	w.add(all...)
	c := most(segment/2 + 5)
	c.Admit = func(id series.ID) Verdict { return map[series.ID]Verdict{w.learn("dropped"): Drop}[id] }
	a := w.arrange(c)
	assert.Equal(t, c.Most, a.Samples())
	assert.EqualValues(t, segment+11, a.To)
}

// A series of another part is nobody's business: it is neither asked for nor set aside.
func TestAdmitWithParts(t *testing.T) {
	w := newWorld(t)
	for i := range 50 {
		w.add(fmt.Sprintf("x%d@1", i))
	}
	passed := 0
	for part := range 2 {
		c := Everything
		c.Part, c.Parts, c.Admit = part, 2, func(series.ID) Verdict { return Drop }
		a := w.arrange(c)
		assert.Empty(t, written(a))
		assert.Equal(t, a.Tally.Passed, a.Tally.SetAside)
		assert.Len(t, a.SetAside, a.Tally.SetAside)
		passed += a.Tally.Passed
	}
	assert.Equal(t, 50, passed)
}

// Where a series may come once only, the view ends before the second sample of one, and a
// histogram or summary comes with one time, as a whole where its sender wrote it so.
func TestOne(t *testing.T) {
	f := func(want, enough int, all ...string) {
		t.Helper()
		w := newWorld(t)
		w.learn("# TYPE h histogram")
		w.learn("# TYPE s summary")
		w.add(all...)
		a := w.arrange(one(enough))
		assert.EqualValues(t, want, a.To, "%v", all)
		assert.Equal(t, samples.Tally{Passed: want}, a.Tally, "%v", all)
		assert.Len(t, written(a), want)
	}
	const all = math.MaxInt
	f(1, all, "a@1")
	f(1, all, "a@1", "a@2")
	f(1, all, "a@1", "a@1")
	f(3, all, "a@1", "b@9", "c@3", "b@1", "d@1")
	f(2, 2, "a@1", "b@9", "c@3")
	f(4, all, "h_bucket@1", "h_sum@1", "h_count@1", "a@1", "h_bucket@2", "h_sum@2", "h_count@2")
	f(3, all, "h_bucket@1", "a@1", "h_sum@1", "h_count@2") // another time of a histogram, though another series
	f(2, all, "s@1", "s_sum@1", "s_sum@2")
	f(4, all, "x_sum@1", "x_count@2", "y@1", "z@1") // nobody says that it is one
	f(2, 4, "a@1", "b@1", "h_bucket@1", "h_sum@1", "h_count@1")
	f(2, 2, "h_bucket@1", "h_sum@1", "h_count@1")                        // alone it is cut rather than never given
	f(1, all, "a@1", "h_bucket@1", "h_sum@1", "h_sum@1", "h_count@1")    // not in the middle of one
	f(2, all, "h_bucket@1", "h_sum@1", "h_sum@1", "h_count@1")           // likewise
	f(4, all, "a@1", "h_bucket@1", "h_sum@1", "h_count@1", "a@2", "b@1") // behind it
	f(4, all, "a@1", "h_bucket@1", "h_sum@1", "s@3", "a@2", "h_count@1") // its sender sent it in two
	f(5, all, "h_bucket@1", "s@2", "h_sum@1", "s_sum@2", "h_count@1")    // several at once
}

// What another response has, and what is dropped, may come any number of times.
func TestOneWithAdmit(t *testing.T) {
	w := newWorld(t)
	w.add("left@1", "dropped@1", "x@1", "left@2", "dropped@2", "y@1", "dropped@3", "x@2", "y@2")
	c := one(math.MaxInt)
	c.Admit = func(id series.ID) Verdict {
		return map[series.ID]Verdict{w.learn("left"): Leave, w.learn("dropped"): Drop}[id]
	}
	a := w.arrange(c)
	assert.EqualValues(t, 7, a.To)
	assert.Equal(t, samples.Tally{Passed: 5, SetAside: 3}, a.Tally)
	assert.Equal(t, []string{"x@1=0", "y@1=0"}, written(a))
}

// Given one at a time everything comes, each response has a series once and one time of a
// histogram, each has something, and none could have had a sample more.
func TestOneAtATimeGivesEverything(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t)
		w.small()
		w.learn("# TYPE h histogram")
		names := []string{"a", "b", "c", "d", "h_sum", "h_count", `h_bucket{le="1"}`}[:1+r.IntN(7)]
		var log []string
		for i := range r.IntN(60) {
			next := fmt.Sprintf("%s@%d=", names[r.IntN(len(names))], r.IntN(3))
			if n := len(log); n == 0 || !strings.HasPrefix(log[n-1], next) { // or the two would stay together
				log = append(log, fmt.Sprintf("%s%d", next, i))
			}
		}
		w.add(log...)
		if seed%2 == 1 {
			w.seal()
		}
		enough := []int{math.MaxInt, 3, 1}[r.IntN(3)]
		var got []string
		for {
			a := w.arrange(one(enough))
			if a.From == a.To {
				break
			}
			lines := written(a)
			require.Len(t, lines, int(a.To-a.From), "seed %d: %v", seed, log)
			require.True(t, single(lines), "seed %d: %v", seed, lines)
			if int(a.To) < len(log) && len(lines) < enough && !strings.HasPrefix(log[a.To], "h_") {
				require.False(t, single(append(lines, log[a.To])), "seed %d: %v has room for %s", seed, lines, log[a.To])
			}
			got = append(got, lines...)
			w.take(a)
		}
		slices.Sort(got)
		slices.Sort(log)
		require.Equal(t, log, got, "seed %d", seed)
	}
}

// single says whether samples are of a series each, and those of a histogram of one time.
func single(lines []string) bool {
	seen, times := map[string]bool{}, map[string]bool{}
	for _, line := range lines {
		name, at, _ := strings.Cut(line, "@")
		if seen[name] {
			return false
		}
		seen[name] = true
		if strings.HasPrefix(name, "h_") {
			at, _, _ = strings.Cut(at, "=")
			times[at] = true
		}
	}
	return len(times) <= 1
}

// An arrangement against plain lists, through random logs, of which some are sealed, and choices.
func TestArrangementIsASortedList(t *testing.T) {
	type sample struct {
		name  string
		time  int64
		value float64
	}
	sealed := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(t)
		w.small()
		var log []sample
		for i := range r.IntN(200) {
			s := sample{fmt.Sprintf("x%d", r.IntN(12)), r.Int64N(20), float64(i)}
			if n := len(log); n > 0 && log[n-1].name == s.name && log[n-1].time == s.time { // once packed they stay together
				continue
			}
			log = append(log, s)
			w.add(fmt.Sprintf("%s@%d=%g", s.name, s.time, s.value))
		}
		if seed%2 == 1 {
			w.seal()
			n, _ := w.log.Sealed()
			sealed += n
		}
		verdicts := map[string]Verdict{}
		for i := range 12 {
			verdicts[fmt.Sprintf("x%d", i)] = Verdict(max(0, r.IntN(6)-3))
		}
		c := Choice{Parts: 1 + r.IntN(3), Most: r.IntN(250), Oldest: r.Int64N(8), Newest: 10 + r.Int64N(12)}
		c.Part = r.IntN(c.Parts)
		rank := w.table.Ranked()
		c.Admit = func(id series.ID) Verdict { return verdicts[rank.Text(id)] }

		var tally samples.Tally
		var want []sample
		to := len(log)
		for i, s := range log {
			id := w.learn(s.name)
			if PartOf(rank.Group(id), c.Parts) != c.Part || verdicts[s.name] == Leave {
				continue
			}
			if verdicts[s.name] == Drop {
				tally.Passed++
				tally.SetAside++
				continue
			}
			if tally.Passed-tally.SetAside == c.Most {
				to = i
				break
			}
			tally.Passed++
			switch {
			case s.time < c.Oldest:
				tally.TooOld++
			case s.time > c.Newest:
				tally.Ahead++
			default:
				want = append(want, s)
			}
		}
		place := func(s sample) int { return slices.Index(rank.Order, w.learn(s.name)) }
		slices.SortStableFunc(want, func(a, b sample) int {
			return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.time, b.time))
		})
		var lines []string
		for i, s := range want {
			if i+1 < len(want) && want[i+1].name == s.name && want[i+1].time == s.time {
				continue
			}
			lines = append(lines, fmt.Sprintf("%s@%d=%g", s.name, s.time, s.value))
		}
		a := w.arrange(c)
		require.Equal(t, tally, a.Tally, "seed %d", seed)
		require.EqualValues(t, to, a.To, "seed %d", seed)
		require.Equal(t, len(want), a.Samples(), "seed %d", seed)
		require.Equal(t, lines, written(a), "seed %d", seed)
	}
	require.NotZero(t, sealed)
}

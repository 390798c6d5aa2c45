package series

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCut(t *testing.T) {
	f := func(text, name, before string) {
		t.Helper()
		for first := range len(text) + 2 {
			p := newMember(name).cut([]byte(text), first-1)
			if before == "" {
				assert.Equal(t, whole([]byte(text)), p, first)
				continue
			}
			if string(p.before) != before { // another place is as good
				assert.Len(t, p.before, first-1)
			}
			assert.Equal(t, text, string(p.before)+p.name+string(p.behind))
			assert.Equal(t, name, p.name)
		}
	}
	f(`x{gatewayID="a"}`, "a", `x{gatewayID="`)
	f(`a{a="a",gatewayID="a"}`, "a", `a{a="`)
	f(`x{a="ab",gatewayID="a",z="1"}`, "a", `x{a="ab",gatewayID="`)
	f(`{"a","b"="a"}`, "a", `{"a","b"="`)
	f(`x{gatewayID=" a"}`, "a", "")
	f(`x{gatewayID="a\""}`, `a"`, "")
	f(`x{b="\\",gatewayID="\\\\"}`, `\\`, "")
	f(`x{gatewayID=""}`, "", "")
	f(`x`, "x", "")
	f(`a="`, "a", "")
	f(`x{gatewayID="b"}`, "a", "")
}

func TestArena(t *testing.T) {
	var a arena
	r := rand.New(rand.NewPCG(1, 2))
	kept := map[ref][2]string{}
	for _, n := range []int{0, 1, 5, 10_000, 2 * blockSize, 1, blockSize - headerSize - wide, blockSize/2 + 1} {
		for range 300 {
			before, behind := strings.Repeat("a", r.IntN(n+1)), strings.Repeat("b", n/2)
			at := a.keep([]byte(before), []byte(behind))
			require.NotZero(t, at)
			require.NotContains(t, kept, at)
			kept[at] = [2]string{before, behind}
			if n > 1000 {
				break
			}
		}
	}
	for at, pieces := range kept {
		k := textAt(a.blocks, at)
		require.Equal(t, [2]string{string(k.before()), string(k.behind())}, pieces)
	}
}

// Gateways that send the same series share what they write but for their names, whole fleets at a
// time; what they write in a way of their own they do not.
func TestAFleetSharesItsFrames(t *testing.T) {
	l := newLearner(t, roomy)
	fleet := func(gateway string) []string {
		return []string{`x{core="0",gatewayID="` + gateway + `"}`, `x{core="1",gatewayID="` + gateway + `"}`, `{"y.z",gatewayID="` + gateway + `",net="1"}`}
	}
	l.learn(fleet("gw0")...)
	frames, used := l.Index.frames.count, l.Index.arena.used
	require.Equal(t, 3, frames)
	for i := range 100 {
		l.learn(fleet(fmt.Sprintf("gw-%d", i))...)
	}
	assert.Equal(t, frames, l.Index.frames.count)
	assert.LessOrEqual(t, l.Index.arena.used, used+100*24, "the names of the gateways")
	l.learn(`x{core="2",gatewayID="gw-1"}`)
	assert.Equal(t, frames+1, l.Index.frames.count)

	require.Equal(t, 304-3, l.expire(holder{series: []ID{l.id(fleet("gw-1")[0]), l.id(fleet("gw-1")[2]), l.id(fleet("gw-2")[0])}}))
	assert.Equal(t, 2, l.Index.frames.count)
}

// Frames whose hashes are equal are told apart.
func TestFramesWithOneHash(t *testing.T) {
	x, refs := newIndex(0), map[ref]bool{}
	frames := []string{`x{a="a"}`, `y{a="a"}`, `x{a="a",b="1"}`, `x{a="a",b="2"}`, `x{b="a",a="1"}`}
	for range 2 {
		for _, text := range frames {
			refs[x.findFrame(newMember("a").cut([]byte(text), 0), 7)] = true
		}
	}
	assert.Len(t, refs, len(frames))
}

// Where frames have no numbers left, a push of new series is refused and leaves nothing.
func TestNoNumbersForFrames(t *testing.T) {
	l := newLearner(t, roomy)
	l.learn("x")
	blocks := l.Index.arena.blocks
	l.Index.arena.blocks = make([]unsafe.Pointer, maxBlocks-1)
	var full *FullError
	require.ErrorAs(t, l.try("y"), &full)
	assert.Equal(t, "table_bytes", full.Reason)
	assert.Equal(t, 1, l.Size())
	l.Index.arena.blocks = blocks
	l.learn("y")
}

// author writes random spellings of random series.
type author struct{ *rand.Rand }

func pick[T any](a author, all ...T) T { return all[a.IntN(len(all))] }

// series returns the text of a series, its gateway and a spelling.
func (a author) series() (text, gateway, raw string, f Format) {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace
	gateway = pick(a, "", "a", "b", "gw-1", "gw-10", "gw-2", "ü", `q"`, `\`, `\\`, "=", "gatewayID", "a\nb")
	var labels []string
	for _, name := range []string{"a", "b", "gatewayID", `"l.m"`, "z"} {
		value := pick(a, "", "1", "2", "3", gateway, `\`, `x="`, strconv.Itoa(a.IntN(30)))
		if name == "gatewayID" {
			value = gateway
		}
		if value != "" {
			labels = append(labels, name+`="`+escape(value)+`"`)
		}
	}
	text = pick(a, "x", "y_sum", "a", "gw-1", `{"n.o"`)
	switch {
	case text[0] == '{':
		text = strings.Join(append([]string{text}, labels...), ",") + "}"
	case len(labels) > 0:
		text += "{" + strings.Join(labels, ",") + "}"
	}
	raw = text
	if a.IntN(4) == 0 {
		raw = strings.Replace(text, ",", pick(a, " ,", ", ", ",  "), 1)
	}
	return text, gateway, raw, pick[Format](a, Text, Text, Text, 1, 2)
}

type spelling struct {
	raw string
	f   Format
}

// A table against a map of the texts of series and one of their spellings, through random pushes
// and expiry.
func TestTableIsAMapOfTexts(t *testing.T) {
	spellings, series := 0, 0
	for seed := range uint64(60) {
		a := author{rand.New(rand.NewPCG(seed, 3))}
		l := newLearner(t, roomy)
		ids, texts, meant := map[string]ID{}, map[ID]string{}, map[spelling]string{}
		for range 8 {
			names := &Newcomers{}
			pushed := map[spelling]string{}
			for range a.IntN(200) {
				text, gateway, raw, f := a.series()
				n := Newcomer{Raw: []byte(raw), Format: f, Hash: l.Index.Hash(f, []byte(raw))}
				n.Text = names.Span(n.Raw, []byte(text))
				n.Gateway = names.Span(n.Raw, []byte(gateway))
				name, _, _ := strings.Cut(text, "{")
				n.Name = names.Keep([]byte(name))
				if l.Index.Find(f, n.Hash, n.Raw) == 0 {
					names.List = append(names.List, n)
					pushed[spelling{raw, f}] = text
				}
			}
			require.NoError(t, l.Learn(names, l.now, func() error { return nil }, nil))
			for i := range names.List {
				n := &names.List[i]
				text := string(names.bytes(n, n.Text))
				if id, known := ids[text]; known {
					require.Equal(t, id, n.ID)
				} else {
					require.NotContains(t, texts, n.ID)
				}
				ids[text], texts[n.ID] = n.ID, text
				require.Equal(t, string(names.bytes(n, n.Gateway)), l.GatewayName(n.Owner()))
			}
			for s, text := range pushed {
				if l.Index.Find(s.f, l.Index.Hash(s.f, []byte(s.raw)), []byte(s.raw)) != 0 { // of many ways to write a series some are not remembered
					meant[s] = text
				}
				meant[spelling{text, Text}] = text
			}
			l.holds(meant, ids)
			if a.IntN(2) == 0 {
				var kept holder
				for id := range texts {
					if a.IntN(3) > 0 {
						kept.series = append(kept.series, id)
					}
				}
				require.Equal(t, len(texts)-len(kept.series), l.expire(kept))
				for id, text := range texts {
					if !slices.Contains(kept.series, id) {
						delete(ids, text)
						delete(texts, id)
					}
				}
				for s, text := range meant {
					if _, there := ids[text]; !there {
						delete(meant, s)
						require.Zero(t, l.Index.Find(s.f, l.Index.Hash(s.f, []byte(s.raw)), []byte(s.raw)), s.raw)
					}
				}
				l.holds(meant, ids)
			}
		}
		spellings += len(meant)
		series += len(ids)
	}
	require.Greater(t, spellings, series+1000)
}

// holds checks that the table has spellings of series, the series under their numbers, and no other.
func (l *learner) holds(meant map[spelling]string, ids map[string]ID) {
	rank, reader := l.Ranked(), l.Index.Reader()
	require.Len(l.t, rank.Order, len(ids))
	for text, id := range ids {
		require.Equal(l.t, text, rank.Text(id))
		require.Equal(l.t, len(text), rank.TextBytes(id))
	}
	bytes := 0
	for s, text := range meant {
		raw := []byte(s.raw)
		sp := reader.At(l.Index.Find(s.f, l.Index.Hash(s.f, raw), raw))
		require.Equal(l.t, ids[text], sp.ID, s.raw)
		require.Equal(l.t, s.raw, l.Index.text(sp))
		require.Equal(l.t, len(raw), reader.Begins(append(raw, ' '), sp))
		require.Zero(l.t, reader.Begins(raw[:len(raw)-1], sp))
		require.Zero(l.t, reader.Begins(append(raw[:len(raw)-1], '~'), sp))
		bytes += len(raw)
	}
	require.EqualValues(l.t, len(meant), l.Index.count)
	require.EqualValues(l.t, bytes, l.Bytes())
}

// Readers find what was learned before they looked, and read it right, while gateways come with
// frames of their own and those of others.
func TestTableIsReadWhileItLearns(t *testing.T) {
	const gateways, readers = 2_000, 4
	l := newLearner(t, roomy)
	series := func(g int) []string {
		return []string{
			fmt.Sprintf(`x{gatewayID="gw%d"}`, g),
			fmt.Sprintf(`x{gatewayID="gw%d",kind="%d"}`, g, g/10),
			fmt.Sprintf(`x{gatewayID="gw%d",session="%01000d"}`, g, g),
		}
	}
	learned := make(chan int, readers*gateways)
	var reading sync.WaitGroup
	for range readers {
		reading.Go(func() {
			reader := l.Index.Reader()
			for g := range learned {
				for _, g := range []int{g, g / 2} {
					for _, s := range series(g) {
						raw := []byte(s)
						number := l.Index.Find(Text, l.Index.Hash(Text, raw), raw)
						if !assert.NotZero(t, number, s) || !assert.Equal(t, len(s), reader.Begins(append(raw, " 1"...), reader.At(number))) {
							return
						}
						assert.Zero(t, reader.Begins(bytes.Replace(raw, []byte("gw"), []byte("hw"), 1), reader.At(number)))
					}
				}
			}
		})
	}
	for g := range gateways {
		l.learn(series(g)...)
		for range readers {
			learned <- g
		}
	}
	close(learned)
	reading.Wait()
	rank := l.Ranked()
	for g := range gateways {
		for _, s := range series(g) {
			require.Equal(t, s, rank.Text(l.id(s)))
		}
	}
	assert.Len(t, rank.Order, 3*gateways)
}

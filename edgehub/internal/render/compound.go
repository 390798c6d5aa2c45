package render

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/words"
)

// role is what a series is of a histogram or summary.
type role uint8

const (
	member role = iota // a bucket or quantile
	sum
	count
	whole // a native histogram
	stray // none of these
)

// part is a series of a histogram or summary, with the points that are not written yet.
type part struct {
	id     series.ID
	role   role
	bound  float64 // of a member
	points []arrange.Point
}

// precedes says whether a part comes before another one in a compound, which has none twice.
func (p *part) precedes(q *part) bool {
	return p.role < q.role || p.role == member && q.role == member && p.bound < q.bound
}

// run is the series of one histogram or summary, as far as they follow each other.
type run struct {
	parts  []part
	labels []byte // that all have, but for the bound
	// The text of a member before and behind its bound; before is empty where there is none.
	before, behind []byte
	bounds         []bound          // seen at each place, for the next runs
	first          *series.Spelling // of the first part
	told           []told           // by frame
}

// bound is how a bound was spelled, and what it means. One that is spelled longer is read each time.
type bound struct {
	text  [15]byte
	len   uint8
	value float64
}

// collect adds a series to the run. Where it belongs to another one, the run before is
// written.
func (w *protoWriter) collect(id series.ID, sp *series.Spelling) error {
	r := &w.run
	p := part{id: id, points: w.a.Of(id)}
	known := r.toldOf(sp.Frame())
	if len(r.parts) > 0 && known.tells(sp, r.first) {
		p.role, p.bound = known.role, known.bound
		r.parts = append(r.parts, p)
		return nil
	}
	text := w.text(sp)
	if r.goesOn(text) && r.member(&p, text[len(r.before):len(text)-len(r.behind)]) {
		r.parts = append(r.parts, p)
		*known = told{sp.Frame(), r.first.Frame(), p.role, p.bound}
		return nil
	}
	var before, behind string
	p.role, before, behind = w.classify(text)
	if p.role == member && !r.member(&p, text[len(before):len(text)-len(behind)]) {
		p.role = stray
	}
	if p.role == whole && !slices.ContainsFunc(p.points, arrange.Point.Native) {
		p.role = stray
	}
	if p.role == stray || len(r.parts) == 0 || !bytes.Equal(w.labels, r.labels) {
		if err := w.finishRun(); err != nil {
			return err
		}
		r.labels, r.before, r.first = append(r.labels[:0], w.labels...), r.before[:0], sp
	}
	if p.role == member {
		r.before, r.behind = append(r.before[:0], before...), append(r.behind[:0], behind...)
	}
	r.parts = append(r.parts, p)
	if p.role == stray {
		return w.finishRun()
	}
	*known = told{sp.Frame(), r.first.Frame(), p.role, p.bound}
	return nil
}

// goesOn says whether a series is a member like the one before, as far as its text tells
// but for the bound.
func (r *run) goesOn(text string) bool {
	return len(r.before) > 0 && len(r.parts) > 0 && len(text) >= len(r.before)+len(r.behind) &&
		text[:len(r.before)] == string(r.before) && text[len(text)-len(r.behind):] == string(r.behind)
}

// classify says what a series is of the family, and puts its labels but for the bound
// into the scratch space. Of a member it returns the text before and behind the bound.
func (w *protoWriter) classify(text string) (r role, before, behind string) {
	name, labels := split(text)
	skip := ""
	switch strings.TrimPrefix(name, w.name) {
	case "_sum":
		r = sum
	case "_count":
		r = count
	case "_bucket":
		r, skip = member, boundName(histogram)
	case "":
		r, skip = member, boundName(summary)
	}
	w.labels = w.labels[:0]
	for labels != "" {
		l, rest := next(labels)
		if r == member && l.name == skip {
			end := len(text) - len(rest) - len(`"}`)
			if rest != "" {
				end -= len(`,`)
			}
			before, behind = text[:end-len(l.value)], text[end:]
		} else {
			w.labels = appendLabel(w.labels, l.name, plain(l.value))
		}
		labels = rest
	}
	switch {
	case r == member && before == "" && name == w.name && w.kind == histogram:
		r = whole
	case r == member && (before == "" || skip != boundName(w.kind)):
		r = stray
	}
	return r, before, behind
}

// member makes a part a member whose bound is spelled so. It returns false where that is
// not a number. Mostly the same bounds come in the same order again.
func (r *run) member(p *part, spelling string) bool {
	place := len(r.parts)
	for len(r.bounds) <= place {
		r.bounds = append(r.bounds, bound{})
	}
	b := &r.bounds[place]
	if string(b.text[:b.len]) != spelling || spelling == "" {
		v, err := strconv.ParseFloat(spelling, 64) // with a quote it is none
		if err != nil {
			return false
		}
		b.value, b.len = v, 0
		if len(spelling) <= len(b.text) {
			b.len = uint8(copy(b.text[:], spelling))
		}
	}
	p.role, p.bound = member, b.value
	return b.value == b.value
}

// finishRun writes what can be put together of a run, and keeps the rest.
func (w *protoWriter) finishRun() error {
	r := &w.run
	if len(r.parts) == 0 {
		return nil
	}
	written, err := w.assemble(r.parts)
	if err != nil {
		return err
	}
	w.loose.keep(w.a.Rank, r.parts, written)
	r.parts = r.parts[:0]
	return nil
}

// assemble writes the points of a run of which each of its series has one at the same time,
// up to the first that cannot be written as a metric. It returns how many of each that are.
func (w *protoWriter) assemble(parts []part) (written int, err error) {
	m, ok := arrangeParts(w.kind, parts)
	if !ok {
		return 0, nil
	}
	lead := m.lead().points
	for n := range lead {
		t := lead[n].Time
		for i := range parts {
			if p := &parts[i]; n >= len(p.points) || p.points[n].Time != t {
				return n, nil
			}
		}
		if ok, err := w.metric(&m, n); !ok || err != nil {
			return n, err
		}
	}
	return len(lead), nil
}

// compound is what a metric of a histogram or summary is put together from.
type compound struct {
	kind       kind
	members    []part // by ascending bound
	sum, count *part
	whole      *part // the native histogram beside these or, where they are nil, alone; nil for none
}

// lead is a part of it that is there.
func (c *compound) lead() *part {
	if c.count == nil {
		return c.whole
	}
	return c.count
}

// arrangeParts puts the series of a histogram or summary in order. It returns false where
// something is missing or there twice.
func arrangeParts(k kind, parts []part) (c compound, ok bool) {
	if !inOrder(parts) {
		slices.SortStableFunc(parts, func(p, q part) int { return cmp.Or(cmp.Compare(p.role, q.role), cmp.Compare(p.bound, q.bound)) })
		if !inOrder(parts) {
			return c, false
		}
	}
	n := len(parts)
	if last := &parts[n-1]; last.role == whole {
		c.whole = last
		if n--; n == 0 {
			c.kind = k
			return c, true
		}
	}
	if n < 2 {
		return c, false
	}
	c = compound{kind: k, members: parts[:n-2], sum: &parts[n-2], count: &parts[n-1], whole: c.whole}
	if c.sum.role != sum || c.count.role != count {
		return c, false
	}
	// Without a last bucket there would be one to Prometheus all the same.
	return c, k == summary || n > 2 && math.IsInf(parts[n-3].bound, 1)
}

// inOrder says whether each part precedes the next.
func inOrder(parts []part) bool {
	for i := 1; i < len(parts); i++ {
		if !parts[i-1].precedes(&parts[i]) {
			return false
		}
	}
	return true
}

// metric writes the points of one time, the one with this number of each series. It
// returns false, and writes nothing, where the values are not those of a histogram or
// summary: a Prometheus that converts histograms would refuse the whole scrape.
func (w *protoWriter) metric(c *compound, n int) (ok bool, err error) {
	t := c.lead().points[n].Time
	size, ok := c.size(n)
	if !ok || t == 0 {
		return false, nil
	}
	if w.a.HasWords() {
		return true, w.wordedCompound(c, n, t)
	}
	labels := w.run.labels
	w.enter(w.name, w.help, w.kind)
	buf := w.begin()
	whole := len(labels) + stringSize(size) + 1 + varintSize(uint64(t))
	buf = binary.AppendUvarint(append(buf, familyMetric), uint64(whole))
	buf = append(buf, labels...)
	buf = binary.AppendUvarint(append(buf, c.kind.field()), uint64(size))
	buf = c.append(buf, n)
	buf = binary.AppendUvarint(append(buf, metricTime), uint64(t))
	return true, w.added(buf)
}

// size is how many bytes the message of a histogram or summary takes, but for words.
func (c *compound) size(n int) (bytes int, ok bool) {
	if c.whole != nil && !c.whole.points[n].Native() {
		return 0, false
	}
	if c.count == nil {
		return 0, true
	}
	total := c.count.points[n].Value
	if !isCount(total) || !isValue(c.sum.points[n].Value) {
		return 0, false
	}
	bytes = countSize(total) + doubleSize
	if c.kind == summary {
		for i := range c.members {
			if !isValue(c.members[i].points[n].Value) {
				return 0, false
			}
		}
		return bytes + len(c.members)*(2+2*doubleSize), isWhole(total)
	}
	below := 0.0
	for i := range c.members {
		v := c.members[i].points[n].Value
		if !isCount(v) || v < below {
			return 0, false
		}
		below = v
		bytes += 2 + countSize(v) + doubleSize
	}
	return bytes, below == total
}

// append appends the message of a histogram or summary.
func (c *compound) append(dst []byte, n int) []byte {
	dst = appendCount(dst, c.count.points[n].Value)
	dst = appendDouble(dst, compoundSum, exact(c.sum.points[n].Value))
	for i := range c.members {
		m := &c.members[i]
		v := m.points[n].Value
		if c.kind == summary {
			dst = append(dst, compoundMember, 2*doubleSize)
			dst = appendDouble(appendDouble(dst, quantileBound, m.bound), quantileValue, exact(v))
			continue
		}
		dst = append(dst, compoundMember, byte(countSize(v)+doubleSize))
		dst = appendCount(dst, v)
		dst = appendDouble(dst, bucketBound, m.bound)
	}
	return dst
}

// isValue says whether a value is a number or the ordinary NaN.
func isValue(v float64) bool { return v == v || !samples.IsMarker(v) && !words.Is(v) }

// isCount says whether a value can be that of a bucket or count, to the bit.
func isCount(v float64) bool { return v >= 0 && v <= math.MaxFloat64 && !math.Signbit(v) }

// isWhole says whether a count is exact as a whole number.
func isWhole(v float64) bool { return v < 1<<53 && v == float64(int64(v)) }

func countSize(v float64) int {
	if isWhole(v) {
		return 1 + varintSize(uint64(v))
	}
	return doubleSize
}

// appendCount appends a count to the one of two fields that can have it. They are the same of a bucket.
func appendCount(dst []byte, v float64) []byte {
	if isWhole(v) {
		return binary.AppendUvarint(append(dst, compoundCount), uint64(v))
	}
	return appendDouble(dst, histogramCountPart, v)
}

// spelled is a bound as Prometheus spells it, where it is a number.
func spelled(value string) string {
	v, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return value
	}
	return string(appendBound(nil, v))
}

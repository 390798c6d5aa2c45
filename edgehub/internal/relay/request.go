package relay

import (
	"bytes"
	"cmp"
	"io"
	"net/url"
	"slices"
	"strconv"

	"github.com/klauspost/compress/gzip"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/render"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/words"
	"github.com/hubring/hubring/internal/exposition"
)

const (
	requestBytes = 1 << 20 // of text, about, before compression
	lineBytes    = 8 + 13 + 3
	wordBytes    = 6
	requestEnds  = 1000 // gateways
)

// request is a part of a chunk's order that goes out together: samples, or markers.
type request struct {
	of     *chunk
	places []uint32 // of records
}

func (q request) record(i int) *record { return &q.of.records[q.places[i]] }

func (q request) markers() bool { return samples.IsMarker(q.record(0).value) }

// requests cuts what has to go out in this order. A request is in one phase, and one of markers has all of a gateway's. What is more than
// numbers has requests of its own.
func (c *chunk) requests(yield func(request) bool) {
	for from := 0; from < len(c.order); {
		q := request{c, c.order[from:]}
		first, bytes, gateways, to := q.record(0), 0, 0, 0
		for ; to < len(q.places); to++ {
			r := q.record(to)
			if r.phase != first.phase || order(r, first) != 0 {
				break
			}
			if to == 0 || r.gateway != q.record(to-1).gateway {
				gateways++
			}
			if q.markers() && gateways > requestEnds {
				break
			}
			if to > 0 && r.follows(q.record(to-1)) {
				bytes += wordBytes
				continue
			}
			if bytes += len(c.Rank.Text(r.id)) + lineBytes; !q.markers() && bytes > requestBytes && to > 0 {
				break
			}
		}
		from += to
		q.places = q.places[:to:to]
		numbers, others := q.apart()
		if len(numbers.places) > 0 && !yield(numbers) || len(others.places) > 0 && !yield(others) {
			return
		}
	}
}

// gateways says whether the request is of several gateways.
func (q request) gateways() bool { return q.record(0).gateway != q.record(len(q.places)-1).gateway }

// halves parts a request between two gateways, or if it is of one in the middle of its time. The first half is empty where the request is
// one sample and what follows it.
func (q request) halves() (request, request) {
	middle := len(q.places) / 2
	if q.gateways() {
		begun := func(i int) bool { return q.record(i).gateway != q.record(i-1).gateway }
		before, behind := middle, middle
		for before > 0 && !begun(before) {
			before--
		}
		for behind < len(q.places) && !begun(behind) {
			behind++
		}
		if middle = before; before == 0 || behind-middle < middle-before && behind < len(q.places) {
			middle = behind
		}
	}
	for middle > 0 && q.record(middle).follows(q.record(middle-1)) {
		middle--
	}
	return request{q.of, q.places[:middle]}, request{q.of, q.places[middle:]}
}

// words says whether some samples are more than numbers.
func (q request) words() bool {
	return slices.ContainsFunc(q.places, func(i uint32) bool { return words.Is(q.of.records[i].value) })
}

// apart parts a request into samples of which none is more than a number and others, as histograms and summaries whole. Those that are sent as letters
// stay as their senders spelled them.
func (q request) apart() (numbers, others request) {
	if !q.words() {
		return q, request{}
	}
	more := map[uint32]bool{} // by group
	for i := range q.places {
		if r := q.record(i); words.Is(r.value) {
			more[q.of.Rank.Group(r.id)] = true
		}
	}
	numbers.of, others.of = q.of, q.of
	for i, place := range q.places {
		to := &numbers
		if more[q.of.Rank.Group(q.record(i).id)] {
			to = &others
		}
		to.places = append(to.places, place)
	}
	return numbers, others
}

// protobuf writes the samples as a scrape would, since letters have no place for what is more than numbers.
func (q request) protobuf(dst []byte) []byte {
	var all samples.Columns
	all.Grow(len(q.places))
	for i := range q.places {
		r := q.record(i)
		all.Add(r.id, r.time, r.value)
	}
	out := bytes.NewBuffer(dst)
	_ = render.Proto(out, arrange.Arrange(samples.ViewOf(all), q.of.Rank, arrange.Everything), exposition.AllowUTF8, nil) // memory does not fail
	return out.Bytes()
}

// text writes the samples family by family.
func (q request) text(dst []byte, place []uint32) []byte {
	sorted := slices.Clone(q.places)
	slices.SortFunc(sorted, func(i, j uint32) int {
		a, b := &q.of.records[i], &q.of.records[j]
		return cmp.Or(cmp.Compare(place[a.id], place[b.id]), cmp.Compare(a.time, b.time), cmp.Compare(i, j))
	})
	rank, family, described := q.of.Rank, 0, -1
	for _, i := range sorted {
		r := &q.of.records[i]
		for int(place[r.id]) >= rank.Families[family].To {
			family++
		}
		if family != described {
			f := &rank.Families[family]
			dst, described = render.AppendMetadata(dst, f.Name, f.Type, f.Help), family
		}
		dst = append(append(dst, rank.Text(r.id)...), ' ')
		dst = append(exposition.AppendFloat(dst, r.value), ' ')
		dst = append(exposition.AppendTimestamp(dst, r.time), '\n')
	}
	return dst
}

// ends writes a line for each gateway, as POST /gateways/ended takes them: the markers of one that fell silent differ by
// parts of its interval, and the last one counts.
func (q request) ends(dst []byte) []byte {
	for i := range q.places {
		r := q.record(i)
		if i+1 < len(q.places) && q.record(i+1).gateway == r.gateway { // the next one is no older
			continue
		}
		dst = append(dst, url.QueryEscape(q.of.Gateway(r.gateway))...)
		dst = append(strconv.AppendInt(append(dst, ' '), r.time+1, 10), '\n')
	}
	return dst
}

// placesOf is where each series stands in the order of a ranking, by number.
func placesOf(rank *series.Ranking) []uint32 {
	places := make([]uint32, rank.Numbers())
	for i, id := range rank.Order {
		places[id] = uint32(i)
	}
	return places
}

// zipper compresses bodies, one at a time, in memory of its own.
type zipper struct {
	out bytes.Buffer
	zip *gzip.Writer
}

func newZipper() *zipper {
	zip, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic("BUG: gzip level: " + err.Error())
	}
	return &zipper{zip: zip}
}

func (z *zipper) compress(body []byte) []byte {
	z.out.Reset()
	z.zip.Reset(&z.out)
	_, err := z.zip.Write(body)
	if err != nil || z.zip.Close() != nil {
		panic("BUG: writing to a bytes.Buffer failed")
	}
	return z.out.Bytes()
}

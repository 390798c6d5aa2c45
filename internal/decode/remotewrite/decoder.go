package remotewrite

import (
	"errors"
	"fmt"

	"github.com/hubring/hubring/internal/decode"
)

// Version is that of the protocol, which says the type of the message.
type Version int

// The versions, 1.0 and 2.0.
const (
	V1 Version = iota // prometheus.WriteRequest
	V2                // io.prometheus.write.v2.Request
)

// Decoder reads one request after the other. It keeps scratch space, so it does not allocate for samples. It is for one goroutine.
type Decoder struct {
	// SeriesBytes bounds the text of a series, and an exemplar of it.
	SeriesBytes int
	// TextBytes bounds the text of all series of a request of 2.0, which says a label once for many series. Beyond, the error is ErrTooLarge.
	TextBytes int
	// Room is asked for memory beyond what is free, in bytes. Its error ends the reading.
	Room func(bytes int) error
	// Refuse is told why so many samples and histograms were left out; none where it is what was said of a family. Its error ends the reading.
	Refuse func(samples int, why error) error

	to       decode.Sink
	layout   layout
	written  Written
	number   int // of the series, from 1
	texts    int // bytes of series' text so far
	labels   []decode.Label
	rawName  []byte       // the label __name__ of the last series of 1.0, as it came
	head     []byte       // the text of a series of that name, up to its labels
	pairs    decode.Pairs // the others
	text     []byte       // of the series
	message  []byte       // a histogram or exemplar
	symbols  []symbol
	refs     []uint32
	spelled  []byte // symbols, where they differ from what came
	roomText int    // bytes of spelled that Room was asked for
}

// Written is what a sink took.
type Written struct {
	Samples, Histograms, Exemplars int
	// Alone are exemplars for which there was no place: of series that were refused, and without samples where the sink is no decode.LooseSink.
	Alone int
}

// layout is which fields a series has in a version, besides labels.
type layout struct {
	samples, histograms, exemplars, metadata, created uint64
}

// layouts are those of the versions. A field that there is not has the number 0.
var layouts = [...]layout{
	V1: {samples: 2, exemplars: 3, histograms: 4},
	V2: {samples: 2, histograms: 3, exemplars: 4, metadata: 5, created: 6},
}

// scratch kept from a request to the next, at most.
const (
	maxKeptBytes   = 64 << 10
	maxKeptSymbols = freeSymbols
)

// Decode brings a request to a sink. An error means that the request is refused as a whole.
func (d *Decoder) Decode(version Version, body []byte, to decode.Sink) (Written, error) {
	d.to, d.layout, d.written, d.number, d.texts = to, layouts[version], Written{}, 0, 0
	defer d.release()
	var err error
	if version == V2 {
		err = d.request2(body)
	} else {
		err = d.request1(body)
	}
	return d.written, err
}

// release lets the body go.
func (d *Decoder) release() {
	d.to, d.rawName = nil, nil
	d.pairs.Release()
	clear(d.labels[:cap(d.labels)])
	clear(d.symbols)
	d.symbols, d.roomText = d.symbols[:0], 0
	if cap(d.symbols) > maxKeptSymbols {
		d.symbols = nil
	}
	if cap(d.labels) > maxKeptSymbols {
		d.labels = nil
	}
	for _, scratch := range []*[]byte{&d.text, &d.head, &d.message, &d.spelled} {
		if cap(*scratch) > maxKeptBytes {
			*scratch = nil
		}
	}
}

// refuse leaves samples of the series out, unless the error is about the whole request.
func (d *Decoder) refuse(samples int, why error) error {
	why = d.of(why)
	if e := (*decode.BrokenError)(nil); errors.As(why, &e) {
		return why
	}
	return d.Refuse(samples, why)
}

// of says which series an error is about.
func (d *Decoder) of(err error) error { return fmt.Errorf("series %d: %w", d.number, err) }

// ErrTooLarge says that a request has more text than it may.
var ErrTooLarge = errors.New("the series of the request are too much text; send it in parts")

var (
	errNoName   = errors.New("it has no label __name__")
	errTwoNames = errors.New("it has the label __name__ twice")
)

const nameLabel = "__name__"

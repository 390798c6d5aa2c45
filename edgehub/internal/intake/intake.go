package intake

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/exposition"
)

// Config bounds what is read.
type Config struct {
	Limits       exposition.Limits // of a series; HELP and TYPE lines may be as long
	GatewayLabel string            // whose value names a series' gateway
	MaxSamples   int               // of a push
	Reserved     []string          // names that no series may have, since the hub itself writes them
}

// Intake reads pushes into a store. Its methods may be called from any goroutine.
type Intake struct {
	cfg          Config
	store        *store.Store
	room         *body.Room // bounds what is noted of the pushes that are read, beside their bodies
	texts        sync.Pool  // of *text
	sinks        sync.Pool  // of *sink
	unknownTypes atomic.Uint64
	received     extras
	leftOut      extras
}

// New returns an intake into a store.
func New(cfg Config, s *store.Store, room *body.Room) *Intake {
	in := &Intake{cfg: cfg, store: s, room: room}
	in.texts.New = func() any { return &text{push: newPush(in)} }
	in.sinks.New = func() any { return &sink{push: newPush(in)} }
	return in
}

// UnknownTypes is the number of TYPE lines whose word is no type, read as untyped.
func (in *Intake) UnknownTypes() uint64 { return in.unknownTypes.Load() }

// Extras counts what is more than numbers.
type Extras struct{ Histograms, Exemplars, Starts uint64 }

// Received is what was taken in of that.
func (in *Intake) Received() Extras { return in.received.load() }

// LeftOut is what was left out of samples that were taken in, since it is none that may be passed on.
func (in *Intake) LeftOut() Extras { return in.leftOut.load() }

type extras struct{ histograms, exemplars, starts atomic.Uint64 }

func (e *extras) load() Extras {
	return Extras{e.histograms.Load(), e.exemplars.Load(), e.starts.Load()}
}

func (e *extras) add(n Extras) {
	e.histograms.Add(n.Histograms)
	e.exemplars.Add(n.Exemplars)
	e.starts.Add(n.Starts)
}

// RefusedError is a reason to refuse a push for what it says. Others are a *store.FullError,
// body.ErrNoRoom, or a mistake in the format.
type RefusedError struct {
	Reason string // in one word
	text   string
}

func (e *RefusedError) Error() string { return e.text }

// Reader returns what reads the canonical text of a series, which it may keep until the newcomers are learned, and
// notes it as a newcomer to a table. It is for one goroutine.
func (in *Intake) Reader() func(t *series.Table, names *series.Newcomers, text []byte) error {
	parser := exposition.NewSeriesParser(exposition.Limits{SeriesBytes: math.MaxInt32, Labels: math.MaxInt32}) // it was measured when it came
	return func(t *series.Table, names *series.Newcomers, text []byte) error {
		return in.addSeries(parser, names, text, t.Index.Hash(series.Text, text))
	}
}

func (in *Intake) reserves(name []byte) bool {
	return slices.ContainsFunc(in.cfg.Reserved, func(r string) bool { return string(name) == r })
}

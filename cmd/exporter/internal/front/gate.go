package front

import (
	"fmt"
	"net/http"

	"github.com/hubring/hubring/cmd/exporter/internal/config"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/decode/otlp"
	"github.com/hubring/hubring/internal/door"
	"github.com/hubring/hubring/internal/exposition"
)

// gate bounds what is read and taken in at a time, and has the shared doors, as a config says. A request has one from its beginning to its end.
type gate struct {
	limits config.Limits
	room   *body.Room
	places chan struct{}
	// transport reaches hubs for what is no sample.
	transport http.RoundTripper

	write *door.RemoteWrite
	otlp  *door.OTLP
	calls http.Handler // by gRPC
}

func (f *Front) newGate(cfg *config.Config) (*gate, error) {
	l := cfg.Limits
	translator, err := otlp.New(cfg.Translation())
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	g := &gate{limits: l, room: body.NewRoom(l.BodiesBytes), places: make(chan struct{}, l.Pushes)}
	if g.transport, err = cfg.Transport(); err != nil {
		return nil, err
	}
	g.write = door.NewRemoteWrite(house{f, g, doorWrite}, exposition.DefaultLimits.SeriesBytes, l.BodyBytes)
	g.otlp = door.NewOTLP(house{f, g, doorOTLP}, translator)
	g.calls = f.newCalls(house{f, g, doorGRPC})
	return g, nil
}

// enter lets one in, if there is a place.
func (f *Front) enter(g *gate) (leave func(), err error) {
	if f.closed.Load() {
		return nil, errStops
	}
	select {
	case g.places <- struct{}{}:
		return func() { <-g.places }, nil
	default:
		return nil, &door.RefusedError{
			Status: http.StatusServiceUnavailable, Reason: "too_many_pushes", Unread: true,
			Text: fmt.Sprintf("%d pushes are under way, which is the limit", cap(g.places)),
		}
	}
}

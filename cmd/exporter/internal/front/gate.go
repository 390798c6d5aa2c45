package front

import (
	"fmt"
	"net/http"

	"github.com/hubring/hubring/cmd/exporter/internal/config"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/door"
)

// gate bounds what is read and taken in at a time.
type gate struct {
	limits config.Limits
	room   *body.Room
	places chan struct{}
	calls  http.Handler // the door for gRPC
}

func (f *Front) newGate(l config.Limits) *gate {
	g := &gate{limits: l, room: body.NewRoom(l.BodiesBytes), places: make(chan struct{}, l.Pushes)}
	g.calls = f.newCalls(g)
	return g
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

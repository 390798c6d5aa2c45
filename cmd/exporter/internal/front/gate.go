package front

import (
	"fmt"
	"net/http"

	"github.com/hubring/hubring/cmd/exporter/internal/config"
	"github.com/hubring/hubring/internal/body"
)

// gate bounds what is read and taken in at a time.
type gate struct {
	limits config.Limits
	room   *body.Room
	places chan struct{}
}

func newGate(l config.Limits) *gate {
	return &gate{limits: l, room: body.NewRoom(l.BodiesBytes), places: make(chan struct{}, l.Pushes)}
}

// enter finds a place among those who are taken in at the same time.
func (g *gate) enter() (leave func(), err error) {
	select {
	case g.places <- struct{}{}:
		return func() { <-g.places }, nil
	default:
		return nil, &refusal{http.StatusServiceUnavailable, "too_many_pushes", fmt.Sprintf("%d pushes are under way, which is the limit", cap(g.places))}
	}
}

package edgehub

import (
	"context"
	"errors"
	"fmt"

	"github.com/hubring/hubring/edgehub/internal/relay"
	"github.com/hubring/hubring/edgehub/internal/web"
)

// Handover is what became of what no scraper is known to have, when it was given to another hub. Numbers are of samples, but for Ended.
type Handover struct {
	To      string // name of the other hub
	Taken   int    // by it; it has acknowledged them
	Ended   int    // gateways that had ended here and end there
	Refused int    // by it; they wait here
	Left    int    // that wait here, also those
	Waiting string // why the other hub is waited for, empty if it is not
}

// Handover gives all that no scraper is known to have to the hub at a URL, as POST /-/handover does, for a hub that goes away for
// good while its Prometheus is down. From the call on pushes are refused as by Drain, and scrapers may come. What the other hub
// acknowledges every cursor passes (edgehub_samples_handed_over_total), so that Drain has nothing to wait for. A
// cursor that is further behind than another one is left behind what that one has. A gateway's samples arrive there in the order of time, with their types and help;
// what is too old for the other hub's server is dropped there and counted.
//
// While the other hub is full, starts or stops, or does not answer, it is waited for until ctx ends. What it took and could not
// say so waits on, and may be on both hubs. What it refuses waits on, too. Every two seconds progress is called, unless it is nil; the log says
// the same.
//
// Handover returns nil when nothing is left; then the hub takes no pushes any more. Else it returns an error and takes pushes again, unless it
// drains; what was taken stays so, and a next call goes on with the rest. The error is a *RefusedError, such as under_way where another call has
// not returned, or wraps the cause of ctx. The URL is http or https; its user info is sent as basic auth, by Config.HandoverClient. The other hub
// must have a name, and another one than this hub.
func (h *Hub) Handover(ctx context.Context, to string, progress func(Handover)) (Handover, error) {
	var report func(relay.Account)
	if progress != nil {
		report = func(a relay.Account) { progress(Handover(a)) }
	}
	a, err := h.web.Handover(ctx, to, report)
	if r := (*web.RefusedError)(nil); errors.As(err, &r) {
		err = fmt.Errorf("hand over: %w", &RefusedError{r.Status, r.Reason, r.Text})
	}
	return Handover(a), err
}

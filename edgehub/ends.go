package edgehub

import (
	"context"
	"fmt"

	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/exposition"
)

// firstSample is the series by which a query tells since when a gateway is at this hub.
const firstSample = "edgehub_gateway_first_sample_timestamp_seconds"

// ownSeries is what the hub writes of each gateway, under its label, or nil for nothing.
func ownSeries(cfg Config) *series.Own {
	if cfg.NoFirstSamples {
		return nil
	}
	return &series.Own{
		Name: firstSample, Kind: "gauge",
		Help: "Time of the first sample of the gateway since it came to this hub; the hub writes it beside that sample, and again each hour.",
		Text: func(gateway string) (text []byte, group uint32, quoted bool) {
			spelling := []byte(firstSample)
			if gateway != "" {
				spelling = exposition.AppendLabelName(append(spelling, '{'), cfg.GatewayLabel)
				spelling = exposition.AppendLabelValue(append(spelling, `="`...), gateway)
				spelling = append(spelling, `"}`...)
			}
			s, err := exposition.NewSeriesParser(exposition.Limits{}).Parse(spelling)
			if err != nil {
				panic("BUG: the hub's own series: " + err.Error()) // its label is of a pushed series
			}
			return s.Text, uint32(s.Group >> 32), s.Quoted
		},
	}
}

// GatewayEnd is that the samples of a gateway go to another hub now.
type GatewayEnd struct {
	Gateway string // empty for what is of no gateway
	Time    int64  // of its first sample there, in milliseconds since the epoch
}

// End ends the series of gateways that went to other hubs, as POST /gateways/ended does: each
// series that had a sample since it ended last gets a stale marker, a millisecond before
// the gateway's first sample at its new hub, or one behind its own last sample where that is later. A
// gateway that this hub does not have, or that came after that time, is left alone, so
// it does no harm to say the same again. A sample that is newer than the marker begins a gateway
// anew. When End returns nil all markers are in the log, and are scraped as samples are.
//
// Its error is a *RefusedError, such as hub_full where there is no room for the markers of a
// gateway; those before it are ended, and the same may be said again. Or it is that of ctx,
// which is looked at before. A hub that drains takes ends until it is drained.
func (h *Hub) End(ctx context.Context, ends []GatewayEnd) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	all := make([]store.End, len(ends))
	for i, e := range ends {
		all[i] = store.End{Gateway: e.Gateway, First: e.Time}
	}
	if r := h.web.End(all); r != nil {
		return fmt.Errorf("end gateways: %w", &RefusedError{r.Status, r.Reason, r.Text})
	}
	return nil
}

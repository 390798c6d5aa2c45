package send

import (
	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/wire"
)

// sorter splits a batch into requests of which every receiver can make sense. Its
// zero value is ready for use.
type sorter struct {
	claimed   wire.Claims
	composite map[*queue.Lane]bool // lanes with a summary or histogram in the request
	held      map[*queue.Lane]bool // lanes of which something was passed over
}

// split returns the batch in as few requests as it goes. Into another one goes
// what would not fit into the same: a family whose type is claimed otherwise, and
// a second parcel with summaries or histograms of one gateway, since parsers that
// put their lines together again would mix two moments. What follows of such a
// gateway is passed over, too, so that its order holds.
func (s *sorter) split(batch []*queue.Parcel) [][]*queue.Parcel {
	if s.held == nil {
		s.composite, s.held = map[*queue.Lane]bool{}, map[*queue.Lane]bool{}
	}
	var parts [][]*queue.Parcel
	for len(batch) > 0 {
		s.claimed.Reset()
		clear(s.composite)
		clear(s.held)
		var passed []*queue.Parcel
		part := batch[:0:len(batch)]
		for i, p := range batch {
			if s.held[p.Lane] || p.Composite && s.composite[p.Lane] || !s.claimed.AllowAll(p.Body.Shape) {
				if passed == nil { // from here on batch itself must stay as it is
					part = append([]*queue.Parcel(nil), batch[:i]...)
				}
				s.held[p.Lane] = true
				passed = append(passed, p)
				continue
			}
			s.claimed.AddAll(p.Body.Shape)
			if p.Composite {
				s.composite[p.Lane] = true
			}
			part = append(part, p)
		}
		parts = append(parts, part)
		batch = passed
	}
	return parts
}

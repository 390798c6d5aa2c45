package web

import (
	"time"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/door"
	"github.com/hubring/hubring/internal/exposition"
)

// takeBody has a body taken in, and returns how many samples it has. Besides an error these are the lines of a text that are no comments, and
// of another format the samples that were read before the error: one that is wrong has no others that can be told.
func (s *Server) takeBody(f door.Format, body []byte, handed bool) (n int, err error) {
	in := s.cfg.Intake
	if f.Read != nil {
		take := in.Take
		if handed {
			take = in.TakeHanded
		}
		return s.takeIn(func(now time.Time) (int, samples.Made, error) {
			return take(now, func(to decode.Sink) error { return f.Read(body, to) })
		})
	}
	take := in.Text
	if handed {
		take = in.Handed
	}
	n, err = s.takeIn(func(now time.Time) (int, samples.Made, error) { return take(body, now) })
	if err != nil {
		n = count(f, body)
	}
	return n, err
}

// count is how many samples a body seems to have that is not read.
func count(f door.Format, body []byte) int {
	if f.Read != nil {
		return 0
	}
	return exposition.CountSamples(body)
}

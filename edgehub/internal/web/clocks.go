package web

import (
	"context"
	"time"
)

// clockOff is by how much clocks may differ before that is worth a line.
const clockOff = time.Minute

// serverTime is a time of now by the clock of a scraper's server, which decides what is too old and what too far ahead.
// Where it is not known, it is the hub's own.
func (s *Server) serverTime(q request, now time.Time) time.Time {
	cursor := s.cfg.Cursors[q.scraper]
	asker := s.cfg.Servers[cursor]
	if asker == nil {
		return now
	}
	ahead, known := asker.Ahead()
	if !known {
		ctx, cancel := context.WithTimeout(s.ctx, min(askTime, q.timeout/2))
		defer cancel()
		if err := asker.LookAtClock(ctx); err != nil {
			s.cfg.Logger.Debug("the clock of a server is not known, and the hub's has to do", "cursor", cursor, "error", err)
			return now
		}
		ahead, _ = asker.Ahead()
	}
	if ahead.Abs() > clockOff && s.clocks.now() {
		s.cfg.Logger.Warn("the clocks of the hub and of a server differ; which samples are too old or too far ahead is told by the server's",
			"cursor", cursor, "server_is_ahead", ahead.Round(time.Second))
	}
	return now.Add(ahead)
}

package web

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/decode/families"
	"github.com/hubring/hubring/internal/door/collect"
)

// Collector serves what is pushed by gRPC, as to a prometheus-edge-hub.
func (s *Server) Collector() http.Handler {
	return collect.New(collect.Config{
		Methods: []string{collect.EdgeHub},
		Room:    s.room, Bytes: s.maxMessage(), Time: s.cfg.BodyTimeout,
		Enter: s.enterCall, Take: s.takeCall, Refuse: s.refuseCall,
	})
}

// maxMessage bounds a message: one that has no room alone never has.
func (s *Server) maxMessage() int64 { return min(s.cfg.MaxMessageBytes, s.room.Limit()) }

func (s *Server) enterCall(r *http.Request) (leave func(), err error) {
	start := time.Now()
	if !s.entrance.enter() {
		return nil, errStopping
	}
	if err := s.mayConnect(r); err != nil {
		s.entrance.leave()
		return nil, err
	}
	return func() {
		s.entrance.leave()
		s.cfg.PushSeconds.Observe(time.Since(start).Seconds())
	}, nil
}

func (s *Server) takeCall(_ *http.Request, read func(func(collect.Family) error) error) (int, error) {
	return s.takeIn(func(now time.Time) (int, samples.Made, error) {
		return s.cfg.Intake.Take(now, func(to decode.Sink) error {
			return read(func(f collect.Family) error { return families.Family(f.Message, to) })
		})
	})
}

// refuseCall counts a call that was refused, and says why.
func (s *Server) refuseCall(samples int, err error) collect.Refusal {
	refusal := s.refusalOf
	if errors.As(err, new(*collect.ReadError)) {
		refusal = s.unreadable
	}
	r := refusal(err)
	if errors.Is(err, body.ErrTooLarge) {
		r.Text = fmt.Sprintf("the message is larger than %d bytes; send it in parts", s.maxMessage())
	}
	s.Counts.refused(r.Reason, samples)
	s.cfg.Logger.Debug("call refused", "status", r.Status, "reason", r.Reason, "error", r.Text)
	return collect.Refusal{Code: collect.CodeOf(r.Status), Reason: r.Reason, Text: r.Text}
}

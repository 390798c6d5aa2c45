package intake

import (
	"fmt"

	"github.com/hubring/hubring/edgehub/internal/native"
	"github.com/hubring/hubring/edgehub/internal/words"
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

const (
	maxHistogramBytes = 64 << 10 // of a message
	maxExemplarBytes  = 1 << 10  // likewise
)

// Histogram implements decode.Sink. What a server would refuse a scrape for is refused.
func (s *sink) Histogram(raw []byte, ms int64, message []byte) error {
	s.open = false
	if len(message) > maxHistogramBytes {
		return notNative(raw, fmt.Sprintf("has %d bytes, and the limit is %d", len(message), maxHistogramBytes))
	}
	if err := s.histogram.Read(message); err != nil {
		return notNative(raw, err.Error())
	}
	if fault := s.histogram.Fault(); fault != "" {
		return notNative(raw, fault)
	}
	if !s.histogram.Shown() {
		s.shown = append(append(s.shown[:0], message...), native.NoSpan...)
		message = s.shown
	}
	s.words = words.AppendHistogram(s.words[:0], message)
	if err := s.add(raw, ms, s.words[0]); err != nil {
		return err
	}
	s.received.Histograms++
	return s.follow(s.words[1:])
}

func notNative(raw []byte, fault string) error {
	return &RefusedError{"native_histogram", fmt.Sprintf("the native histogram of series %.100q %s", raw, fault)}
}

// Exemplar implements decode.Sink. One that is none, or one too many, is left out: its sample is worth more.
func (s *sink) Exemplar(message []byte) error {
	if !s.has(words.Count(len(message))) || len(message) > maxExemplarBytes || !native.IsExemplar(message) {
		s.leftOut.Exemplars++
		return nil
	}
	s.received.Exemplars++
	s.words = words.AppendExemplar(s.words[:0], message)
	return s.follow(s.words)
}

// Loose implements decode.LooseSink. The exemplar stands in the log by itself, and goes with the series' next sample.
func (s *sink) Loose(raw []byte, ms int64, message []byte) error {
	s.open = false
	if exposition.IsOtherUnit(ms) || len(message) > maxExemplarBytes || !native.IsExemplar(message) {
		s.leftOut.Exemplars++
		return nil
	}
	s.words = words.AppendExemplar(s.words[:0], message)
	if err := s.add(raw, ms, s.words[0]); err != nil {
		return err
	}
	s.received.Exemplars++
	return s.follow(s.words[1:])
}

// Start implements decode.Sink.
func (s *sink) Start(ms int64) error {
	if !s.has(1) || ms <= 0 || ms > words.MaxStart {
		s.leftOut.Starts++
		return nil
	}
	s.received.Starts++
	s.words = append(s.words[:0], words.Start(ms))
	return s.follow(s.words)
}

// has says whether there is a sample that so many more words may follow.
func (s *sink) has(more int) bool { return s.open && s.following+more <= words.Most }

// follow adds words to the sample that was brought last.
func (s *sink) follow(more []float64) error {
	for s.batch.Room() < len(more) || s.batch.Len()+len(more) > s.in.cfg.MaxSamples {
		if s.batch.Len()+len(more) > s.in.cfg.MaxSamples {
			return &decode.BrokenError{Err: s.tooMany()}
		}
		if err := s.grow(); err != nil {
			return &decode.BrokenError{Err: err}
		}
	}
	s.room = min(s.batch.Len()+s.batch.Room(), s.in.cfg.MaxSamples)
	s.following += len(more)
	s.batch.AddFollowing(s.unknown, more)
	if !s.unknown {
		s.run += len(more)
	}
	return nil
}

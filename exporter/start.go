package exporter

import (
	"context"
	"errors"
	"fmt"
)

// background is the Run of an exporter that Start returned.
type background struct {
	stop  context.CancelFunc // ends the taking in
	cut   context.CancelFunc // ends the sending
	ended chan struct{}
	err   error // of Run; set when ended is closed
}

// Start returns an exporter that sends what is submitted until Close. It is New, whose
// errors it returns, with a Run of its own.
func Start(cfg Config) (*Exporter, error) {
	e, err := New(cfg)
	if err != nil {
		return nil, err
	}
	e.ran.Store(true)
	running, stop := context.WithCancel(context.Background())
	hurry, cut := context.WithCancel(context.Background())
	b := &background{stop: stop, cut: cut, ended: make(chan struct{})}
	e.background = b
	go func() {
		defer close(b.ended)
		b.err = e.run(running, hurry)
	}()
	return e, nil
}

// Close ends an exporter of Start: Submit refuses from now on, and what is queued is sent, until nothing
// is left, Config.FlushTimeout has passed or ctx ends; where no hub was ever known nobody waits. What is left then goes to Config.SpoolDir, if
// there is one. Close returns when every goroutine of the exporter has ended, which may be a moment after ctx has:
// nil, or an error that wraps an *UndeliveredError if samples were dropped. Another call returns the same.
//
// An exporter of New ends with the context of its Run; Close returns an error then, and does nothing.
func (e *Exporter) Close(ctx context.Context) error {
	b := e.background
	if b == nil {
		return errors.New("exporter: Close is for an exporter of Start: end the context of Run")
	}
	b.stop()
	select {
	case <-b.ended:
	case <-ctx.Done():
		b.cut()
		<-b.ended
	}
	b.cut()
	if b.err != nil {
		return fmt.Errorf("close: %w", b.err)
	}
	return nil
}

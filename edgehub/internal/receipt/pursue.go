package receipt

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Result is what became of a response.
type Result int

const (
	// NotYet means that the receipt was not there when there was no more time.
	NotYet Result = iota
	// Stored means that the server has it.
	Stored
	// Failed means that the server cannot be asked.
	Failed
)

func (r Result) String() string {
	switch r {
	case Stored:
		return "stored"
	case NotYet:
		return "missing"
	default:
		return "failed"
	}
}

const (
	firstPause = 25 * time.Millisecond
	lastPause  = time.Second
)

// Pursue asks for the receipt of a response whose request came at a time, until the
// server has it or ctx ends: after 25 ms, then after twice as long each time, at last each
// second. NotYet means that the server answered last and had nothing; where it did
// not answer, or answers no queries at all, the result is Failed with the error.
func (a *Asker) Pursue(ctx context.Context, l Labels, n Number, since time.Time) (Result, error) {
	return pursue(ctx, func(ctx context.Context) (bool, error) {
		seen, err := a.Seen(ctx, l, since)
		return slices.Contains(seen, n), err
	})
}

func pursue(ctx context.Context, seen func(context.Context) (bool, error)) (Result, error) {
	result, failure := Failed, errNeverAsked
	timer := time.NewTimer(firstPause)
	defer timer.Stop()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return result, failure
		}
		there, err := seen(ctx)
		switch {
		case there:
			return Stored, nil
		case errors.Is(err, ErrNoQueries):
			return Failed, err
		case err == nil:
			result, failure = NotYet, nil
		case ctx.Err() == nil: // else the end of the time cut the question off, which says nothing
			result, failure = Failed, err
		}
		timer.Reset(min(2*pause, lastPause))
	}
}

// errNeverAsked is what Pursue returns if the time was over at once.
var errNeverAsked = errors.New("there was no time to ask the server")

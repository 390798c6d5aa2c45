// Package door has the doors that programs of this repository share: what a protocol's requests mean, and how they are answered. What
// becomes of samples, who is let in, and why not, is up to the house.
//
// # Map of files
//
//	house.go        what a door needs of the program that has it
//	formats.go      the formats of pushes to /metrics, by Content-Type
//	remotewrite.go  remote write
//	otlp.go         OpenTelemetry's metrics over HTTP
package door

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/decode"
)

// House is a program that has doors. Its methods may be called from any goroutine.
type House interface {
	// Receive lets a request in, has its headers checked and its body read, whose size and time the house bounds. It brings the body to
	// use, or what was read of it before it broke off, and returns what use does. The body is good until then.
	Receive(c echo.Context, limits body.Limits, check func(http.Header) error, use func(message []byte, broken error) error) error
	// Take takes what read brings, all of it or none, and returns how many samples the house makes of it. It may call read again.
	Take(c echo.Context, read func(decode.Sink) error) (samples int, err error)
	// Refusal is the answer to an error of the other methods, or of a decoder.
	Refusal(err error) RefusedError
	// Say says in the headers of an answer why something was refused, and what is to be done about it.
	Say(c echo.Context, r RefusedError) error
	// Room is the memory for what is noted of requests beside their bodies.
	Room() *body.Room

	// Refused counts a request that was refused, with so many samples.
	Refused(reason string, samples int)
	// LeftOut counts samples of a request that was taken without them.
	LeftOut(reason string, samples int)
	// LeftExemplars counts exemplars that came without a sample.
	LeftExemplars(n int)
	// Took notes how many seconds a request took.
	Took(seconds float64)
}

// RefusedError is an answer other than success: a status, a reason in one word and a text for the sender.
type RefusedError struct {
	Status       int
	Reason, Text string
	Unread       bool // the body was not read to its end
}

func (r *RefusedError) Error() string { return r.Text }

// namedRefusals of what is left out are in an answer.
const namedRefusals = 3

// later is the status of a refusal: for what may be taken later it is one upon which senders come again, which
// for 429 and 408 Prometheus and others do not.
func later(status int) int {
	if status == http.StatusTooManyRequests || status == http.StatusRequestTimeout {
		return http.StatusServiceUnavailable
	}
	return status
}

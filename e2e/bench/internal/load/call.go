package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// caller calls by gRPC, over a connection of its own.
type caller struct {
	url       string
	transport *http.Transport
}

func newCaller(url string) *caller {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &caller{url, &http.Transport{Protocols: protocols}}
}

// post sends a message behind its prefix. What is no success has the status 500.
func (c *caller) post(ctx context.Context, request []byte) (status int, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(request))
	if err != nil {
		return 0, "", fmt.Errorf("call: %w", err)
	}
	r.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return 0, "", fmt.Errorf("call: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, "", fmt.Errorf("call %s: %w", c.url, err)
	}
	if resp.Trailer.Get("Grpc-Status") != "0" {
		return http.StatusInternalServerError, resp.Trailer.Get("Grpc-Status") + " " + resp.Trailer.Get("Grpc-Message"), nil
	}
	return http.StatusOK, "", nil
}

func (c *caller) close() { c.transport.CloseIdleConnections() }

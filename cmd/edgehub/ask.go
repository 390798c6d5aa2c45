package main

import (
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/common/config"

	"github.com/hubring/hubring/edgehub"
)

// asking is how servers are asked what they have stored, as a file says that can be read
// again.
type asking struct {
	file string
	now  atomic.Pointer[http.Client]
}

// newAsking reads the file and gives each server a client that does as it says.
func newAsking(file string, servers map[string]edgehub.Server) (*asking, error) {
	a := &asking{file: file}
	if err := a.load(); err != nil {
		return nil, err
	}
	for cursor, s := range servers {
		s.Client = &http.Client{Transport: a}
		servers[cursor] = s
	}
	return a, nil
}

// load reads the file. When that fails, what was read before stays.
func (a *asking) load() error {
	cfg, _, err := config.LoadHTTPConfigFile(a.file)
	if err != nil {
		return fmt.Errorf("read how servers are asked: %s: %w", a.file, err)
	}
	client, err := config.NewClientFromConfig(*cfg, "edgehub")
	if err != nil {
		return fmt.Errorf("read how servers are asked: %s: %w", a.file, err)
	}
	if before := a.now.Swap(client); before != nil {
		before.CloseIdleConnections()
	}
	return nil
}

// RoundTrip implements http.RoundTripper.
func (a *asking) RoundTrip(r *http.Request) (*http.Response, error) {
	return a.now.Load().Transport.RoundTrip(r)
}

// CloseIdleConnections is what an http.Client calls by that name.
func (a *asking) CloseIdleConnections() { a.now.Load().CloseIdleConnections() }

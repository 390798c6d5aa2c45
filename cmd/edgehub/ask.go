package main

import (
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/common/config"

	"github.com/hubring/hubring/edgehub"
)

// asking is how servers are asked what they have stored, or another hub is reached, as a file says that can be read
// again.
type asking struct {
	what string
	file string
	now  atomic.Pointer[http.Client]
}

// newAsking reads the files that the options name and gives each server, and the hub, a client that does as they say.
func newAsking(o *options) (all []*asking, err error) {
	if file := o.serverConfig; file != "" {
		a := &asking{what: "servers are asked", file: file}
		a.serve(o.hub.Servers)
		all = append(all, a)
	}
	if file := o.handover.file; file != "" {
		a := &asking{what: "another hub is reached", file: file}
		o.hub.HandoverClient = &http.Client{Transport: a}
		all = append(all, a)
	}
	for _, a := range all {
		if err := a.load(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// serve has servers asked so.
func (a *asking) serve(servers map[string]edgehub.Server) {
	for cursor, s := range servers {
		s.Client = &http.Client{Transport: a}
		servers[cursor] = s
	}
}

// load reads the file. When that fails, what was read before stays.
func (a *asking) load() error {
	cfg, _, err := config.LoadHTTPConfigFile(a.file)
	if err != nil {
		return fmt.Errorf("read how %s: %s: %w", a.what, a.file, err)
	}
	client, err := config.NewClientFromConfig(*cfg, "edgehub")
	if err != nil {
		return fmt.Errorf("read how %s: %s: %w", a.what, a.file, err)
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

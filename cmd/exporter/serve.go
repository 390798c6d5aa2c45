package main

import (
	"log/slog"

	"github.com/hubring/hubring/cmd/exporter/internal/front"
	"github.com/hubring/hubring/internal/serving"
)

// serve opens the doors that the options name.
func serve(f *front.Front, o options, logger *slog.Logger) (*serving.Serving, error) {
	doors := []*serving.Door{{Flags: o.web, Server: f.Server, Logger: logger}}
	if len(*o.calls.WebListenAddresses) > 0 {
		doors = append(doors, &serving.Door{Flags: o.calls, Server: f.CallServer, Logger: logger.With("door", "grpc")})
	}
	return serving.Open(doors...)
}

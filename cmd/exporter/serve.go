package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/prometheus/exporter-toolkit/web"

	"github.com/hubring/hubring/cmd/exporter/internal/front"
)

// serving is the servers of the process.
type serving struct {
	servers []*http.Server
	logger  *slog.Logger
	ended   chan error // gets what each server ended with
}

func serve(f *front.Front, o options, logger *slog.Logger) *serving {
	s := &serving{logger: logger, ended: make(chan error, 2)}
	s.start(f.Server(), o.web, logger)
	if len(*o.calls.WebListenAddresses) > 0 {
		none := false
		o.calls.WebSystemdSocket = &none
		s.start(f.CallServer(), o.calls, logger.With("door", "grpc"))
	}
	return s
}

func (s *serving) start(server *http.Server, flags *web.FlagConfig, logger *slog.Logger) {
	s.servers = append(s.servers, server)
	go func() { s.ended <- web.ListenAndServe(server, flags, logger) }()
}

// shutdown lets requests finish until ctx ends, then cuts them off.
func (s *serving) shutdown(ctx context.Context) {
	for _, server := range s.servers {
		if err := server.Shutdown(ctx); err != nil {
			s.logger.Warn("requests were cut off", "error", err)
			_ = server.Close()
		}
	}
	for range s.servers {
		if err := <-s.ended; !errors.Is(err, http.ErrServerClosed) {
			s.logger.Warn("the server ended", "error", err)
		}
	}
}

func (s *serving) close() {
	for _, server := range s.servers {
		_ = server.Close()
	}
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/prometheus/exporter-toolkit/web"

	"github.com/hubring/hubring/cmd/exporter/internal/front"
)

// serving is the HTTP server of the process.
type serving struct {
	server *http.Server
	logger *slog.Logger
	ended  chan error
}

func serve(f *front.Front, o options, logger *slog.Logger) *serving {
	s := &serving{server: f.Server(), logger: logger, ended: make(chan error, 1)}
	go func() { s.ended <- web.ListenAndServe(s.server, o.web, logger) }()
	return s
}

// shutdown lets requests finish until ctx ends, then cuts them off.
func (s *serving) shutdown(ctx context.Context) {
	if err := s.server.Shutdown(ctx); err != nil {
		s.logger.Warn("requests were cut off", "error", err)
		s.close()
	}
	if err := <-s.ended; !errors.Is(err, http.ErrServerClosed) {
		s.logger.Warn("the server ended", "error", err)
	}
}

func (s *serving) close() { _ = s.server.Close() }

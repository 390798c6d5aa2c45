package web

import (
	"errors"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/internal/exposition"
)

// setHeaders sets what each answer of samples to r has, and returns its coding. A cache must not give one scraper's
// samples to another.
func setHeaders(h http.Header, r *http.Request, contentType string) (coding string) {
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept, Accept-Encoding")
	if coding = codingOf(r.Header, contentType == exposition.ProtobufContentType); coding != "" {
		h.Set("Content-Encoding", coding)
	}
	return coding
}

// respond has samples written as the response to r, compressed if r asks for that. An
// error means that the response is not whole.
func respond(r *http.Request, w http.ResponseWriter, contentType string, write func(io.Writer) error) error {
	coding := setHeaders(w.Header(), r, contentType)
	if err := compressed(coding, w, write); err != nil {
		return err
	}
	// Where a writer cannot flush, what it was given has to do.
	if err := http.NewResponseController(w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return r.Context().Err()
}

// flushable is a response that is flushed where its writer can. Echo's own panics where
// it cannot.
type flushable struct{ *echo.Response }

// FlushError is for http.ResponseController.
func (f flushable) FlushError() error { return http.NewResponseController(f.Writer).Flush() }

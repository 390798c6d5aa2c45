package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/hubring/hubring/e2e/bench/internal/load"
)

// What is here runs in processes of its own, which the benchmark starts from its
// own binary.

// addCeiling is what no server on net/http can beat: it reads the bodies of
// pushes and throws them away, and answers a scrape from memory.
func addCeiling(app *kingpin.Application) (string, func(context.Context, options) error) {
	c := app.Command("serve-ceiling", "Read pushes, keep nothing, answer scrapes from memory.").Hidden()
	address := c.Flag("address", "To listen on.").Required().String()
	return c.FullCommand(), func(ctx context.Context, o options) error {
		o.setPerPush(1)
		return serve(ctx, *address, newCeiling(o.shape))
	}
}

func newCeiling(shape load.Shape) http.Handler {
	var parts [][]byte
	shape.Gateways, shape.PerPush = 10, 10 // written again and again
	each := shape.Series()
	for _, p := range shape.Pushes("localhost") {
		p.Stamp(time.Now().UnixMilli())
		parts = append(parts, p.Body())
	}
	buffers := sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /metrics", func(_ http.ResponseWriter, r *http.Request) {
		buffer := buffers.Get().(*[]byte)
		defer buffers.Put(buffer)
		// What can't be read, its sender hears of by itself.
		_, _ = io.CopyBuffer(io.Discard, onlyReader{r.Body}, *buffer)
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		samples, err := strconv.Atoi(r.URL.Query().Get("samples"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		for i := 0; samples > 0; i++ {
			if _, err := w.Write(parts[i%len(parts)]); err != nil {
				return
			}
			samples -= each
		}
	})
	return mux
}

// onlyReader hides that a body could write itself, in pieces of its own size.
type onlyReader struct{ io.Reader }

// addSink is where vmagent forwards to.
func addSink(app *kingpin.Application) (string, func(context.Context, options) error) {
	c := app.Command("serve-sink", "Read requests, keep nothing, answer 204.").Hidden()
	address := c.Flag("address", "To listen on.").Required().String()
	return c.FullCommand(), func(ctx context.Context, _ options) error {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /-/ready", func(http.ResponseWriter, *http.Request) {})
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // its sender hears of it by itself
			w.WriteHeader(http.StatusNoContent)
		})
		return serve(ctx, *address, mux)
	}
}

func serve(ctx context.Context, address string, h http.Handler) error {
	s := &http.Server{Addr: address, Handler: h, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// addScrape is a scraper that takes no time from the goroutines that push: the
// runtime looks for what has arrived on their connections only every 10 ms while
// others keep it busy.
func addScrape(app *kingpin.Application) (string, func(context.Context, options) error) {
	c := app.Command("scrape", "Scrape once and say from when to when.").Hidden()
	url := c.Flag("url", "What to scrape.").Required().String()
	return c.FullCommand(), func(ctx context.Context, _ options) error {
		s := load.NewScraper(*url)
		defer s.Close()
		from := time.Now()
		if _, err := s.Scrape(ctx); err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(span{from, time.Now()})
	}
}

// scrapeApart scrapes from another process, with the lowest priority: a real
// scraper's processors are not the hub's.
func (w *workshop) scrapeApart(ctx context.Context, url string) (during span, err error) {
	out, err := exec.CommandContext(ctx, "nice", "-n", "19", w.self, "scrape", "--url="+url).Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return during, fmt.Errorf("scrape from another process: %w", err)
	}
	if err := json.Unmarshal(out, &during); err != nil {
		return during, fmt.Errorf("scrape from another process: %w", err)
	}
	return during, nil
}

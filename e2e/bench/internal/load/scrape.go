package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Scraper scrapes one server over a keep-alive connection, as Prometheus would.
// It is for one goroutine at a time.
type Scraper struct {
	url    string
	client *http.Client
	buf    []byte
}

// NewScraper returns a scraper of a URL.
func NewScraper(url string) *Scraper {
	return &Scraper{url: url, buf: make([]byte, 256<<10), client: &http.Client{Transport: &http.Transport{
		DisableCompression: true, MaxIdleConns: 1, ReadBufferSize: 256 << 10,
	}}}
}

// Close closes the connection.
func (s *Scraper) Close() { s.client.CloseIdleConnections() }

// Scrape is what a scrape brought.
type Scrape struct {
	Samples   int
	Bytes     int
	FirstByte time.Duration // of the body
	Wall      time.Duration
}

// Scrape reads a whole response, uncompressed, and counts its samples: the lines
// that are no comments.
func (s *Scraper) Scrape(ctx context.Context) (Scrape, error) {
	out, err := s.scrape(ctx)
	if err != nil {
		return out, fmt.Errorf("scrape %s: %w", s.url, err)
	}
	return out, nil
}

func (s *Scraper) scrape(ctx context.Context) (out Scrape, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return out, err
	}
	req.Header.Set("Accept", "text/plain;version=0.0.4")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "Prometheus/3.15.0")
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", fmt.Sprint(answerTimeout.Seconds()))
	start := time.Now()
	resp, err := s.client.Do(req)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // only to say why
		return out, fmt.Errorf("answered %s: %s", resp.Status, text)
	}
	last := byte('\n')
	for {
		n, err := resp.Body.Read(s.buf)
		if n > 0 {
			if out.Bytes == 0 {
				out.FirstByte = time.Since(start)
			}
			out.Bytes += n
			out.Samples += countSamples(last, s.buf[:n])
			last = s.buf[n-1]
		}
		if errors.Is(err, io.EOF) {
			out.Wall = time.Since(start)
			return out, nil
		}
		if err != nil {
			return out, err
		}
	}
}

// countSamples counts the lines that begin in part, after the byte last, and are
// no comments.
func countSamples(last byte, part []byte) int {
	lines := bytes.Count(part[:len(part)-1], []byte{'\n'}) - bytes.Count(part, []byte("\n#"))
	if last == '\n' {
		lines++
		if part[0] == '#' {
			lines--
		}
	}
	return lines
}

package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/hubring/hubring/cmd/hubquery/internal/engine"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

const (
	mostSeriesBytes = 1 << 20   // of one series' labels
	heldSeries      = 64 << 10  // bytes of a shard's list that may be read ahead
	mostListed      = 5_000_000 // series in one answer
)

// series passes the shards' lists of series on as they come, without taking them apart: they are long, and all
// that is to be done is to leave out what came before, of gateways that moved.
func (d *doors) series(w http.ResponseWriter, r *http.Request) {
	query, ok := form(w, r)
	if !ok {
		return
	}
	if len(query["match[]"]) == 0 {
		fail(w, http.StatusBadRequest, "bad_data", "no match[] parameter provided")
		return
	}
	limit := mostListed
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			fail(w, http.StatusBadRequest, "bad_data", "limit is no number of series")
			return
		}
		if n > 0 {
			limit = min(n, mostListed)
		}
	}
	l := &listing{to: bufio.NewWriterSize(w, 256<<10), w: w, seen: map[uint64]struct{}{}, limit: limit}
	warnings, err := d.list(r.Context(), query, l)
	if err != nil && !l.begun {
		failWith(w, err)
		return
	}
	if err != nil { // half a list that ends cleanly would be believed
		panic(http.ErrAbortHandler)
	}
	l.end(warnings)
}

// list asks all shards, and hands their series on one shard after the other.
func (d *doors) list(ctx context.Context, query url.Values, l *listing) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	shards := d.Shards.All()
	bodies := make([]io.ReadCloser, len(shards))
	errs := make([]error, len(shards))
	var wg sync.WaitGroup
	for i, sh := range shards {
		wg.Go(func() {
			errs[i] = sh.Ask(ctx, 0, 0, func(server *shard.Server) (err error) {
				bodies[i], err = server.Post(ctx, "/api/v1/series", query)
				return err
			})
		})
	}
	wg.Wait()
	defer func() {
		for _, b := range bodies {
			if b != nil {
				b.Close()
			}
		}
	}()
	var warnings []string
	for i, err := range errs {
		var unavailable *shard.UnavailableError
		switch {
		case err == nil:
		case errors.As(err, &unavailable) && engine.Partial(ctx):
			warnings = append(warnings, fmt.Sprintf("the answer is without shard %s: %v", shards[i].Name, err))
		default:
			return nil, err
		}
	}
	for i, body := range bodies {
		if body == nil {
			continue
		}
		if err := l.take(body); err != nil {
			return nil, &shard.UnavailableError{Server: "shard " + shards[i].Name, Err: err}
		}
	}
	return warnings, nil
}

// listing is a list of series on its way out.
type listing struct {
	w     http.ResponseWriter
	to    *bufio.Writer
	begun bool
	some  bool
	seen  map[uint64]struct{} // what was written, by its hash
	limit int
	cut   bool
}

func (l *listing) begin() {
	if l.begun {
		return
	}
	l.begun = true
	l.w.Header().Set("Content-Type", "application/json")
	_, _ = l.to.WriteString(`{"status":"success","data":[`)
}

func (l *listing) end(warnings []string) {
	l.begin()
	_, _ = l.to.WriteString("]")
	if l.cut {
		warnings = append(warnings, "results truncated due to limit")
	}
	for i, text := range warnings {
		if i == 0 {
			_, _ = l.to.WriteString(`,"warnings":[`)
		} else {
			_ = l.to.WriteByte(',')
		}
		_, _ = l.to.Write(quote(text))
		if i == len(warnings)-1 {
			_ = l.to.WriteByte(']')
		}
	}
	_, _ = l.to.WriteString("}\n")
	_ = l.to.Flush() // whoever asked is gone
}

// take reads one shard's answer and writes the series in it that were not there before.
func (l *listing) take(body io.Reader) error {
	in := bufio.NewReaderSize(body, heldSeries)
	head, err := in.ReadSlice('[')
	if err != nil {
		return fmt.Errorf("not a list of series: %w", err)
	}
	if !isListHead(head) {
		return fmt.Errorf("not a list of series: %.100q", head)
	}
	var object []byte
	for {
		c, err := in.ReadByte()
		if err != nil {
			return fmt.Errorf("the list of series ends early: %w", io.ErrUnexpectedEOF)
		}
		switch c {
		case ']':
			return nil
		case ',', ' ', '\n':
			continue
		case '{':
			if object, err = readObject(in, append(object[:0], '{')); err != nil {
				return err
			}
			l.write(object)
		default:
			return fmt.Errorf("the list of series has a %q in it", c)
		}
	}
}

func (l *listing) write(object []byte) {
	hash := xxhash.Sum64(object)
	if _, there := l.seen[hash]; there {
		return
	}
	if len(l.seen) >= l.limit {
		l.cut = true
		return
	}
	l.seen[hash] = struct{}{}
	l.begin()
	if l.some {
		_ = l.to.WriteByte(',')
	}
	l.some = true
	_, _ = l.to.Write(object)
}

// readObject reads to the end of an object of strings, such as a series' labels.
func readObject(in *bufio.Reader, object []byte) ([]byte, error) {
	quoted := false
	for {
		if len(object) > mostSeriesBytes {
			return nil, errors.New("a series' labels are too long")
		}
		// What is buffered is gone through at once: this is the hot path of long lists.
		ahead, err := in.Peek(max(in.Buffered(), 1))
		if err != nil {
			return nil, fmt.Errorf("the list of series ends early: %w", io.ErrUnexpectedEOF)
		}
		for i := 0; i < len(ahead); i++ {
			switch ahead[i] {
			case '"':
				quoted = !quoted
			case '\\':
				if i+1 == len(ahead) { // the escaped byte is not here yet
					object = append(object, ahead[:i]...)
					if _, err := in.Discard(i); err != nil {
						return nil, err
					}
					pair, err := in.Peek(2)
					if err != nil {
						return nil, fmt.Errorf("the list of series ends early: %w", io.ErrUnexpectedEOF)
					}
					object = append(object, pair...)
					_, _ = in.Discard(2)
					ahead, i = nil, 0
					continue
				}
				i++
			case '}':
				if quoted {
					continue
				}
				object = append(object, ahead[:i+1]...)
				_, err := in.Discard(i + 1)
				return object, err
			}
		}
		object = append(object, ahead...)
		_, _ = in.Discard(len(ahead))
	}
}

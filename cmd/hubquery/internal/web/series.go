package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

const (
	mostSeriesBytes = 1 << 20   // of one series' labels
	mostTailBytes   = 1 << 20   // behind a list: warnings
	heldSeries      = 64 << 10  // bytes of a shard's list that may be read ahead
	mostListed      = 5_000_000 // series in one answer
)

// series passes the shards' lists of series on as they come, without taking them apart: they are long, and all
// that is to be done is to leave out what came before, of gateways that moved.
func (d *doors) series(w http.ResponseWriter, r *http.Request) {
	bad := func(message string) { fail(w, http.StatusBadRequest, "bad_data", "bad_data", message) }
	if len(r.Form["match[]"]) == 0 {
		bad("no match[] parameter provided")
		return
	}
	sets, err := d.Parser.ParseMetricSelectors(r.Form["match[]"])
	if err != nil {
		bad(`invalid parameter "match[]": ` + err.Error())
		return
	}
	for _, set := range sets {
		if !slices.ContainsFunc(set, func(m *labels.Matcher) bool { return m != nil && !m.Matches("") }) {
			bad(`invalid parameter "match[]": match[] must contain at least one non-empty matcher`)
			return
		}
	}
	s, err := spanOf(r.Form)
	if err != nil {
		bad(err.Error())
		return
	}
	limit := mostListed
	query := pick(r, "match[]", "start", "end")
	if text := r.Form.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			bad(`invalid parameter "limit": ` + err.Error())
			return
		}
		if n < 0 {
			bad(`invalid parameter "limit": limit must be non-negative`)
			return
		}
		if n > 0 && n < mostListed {
			limit = n
			query.Set("limit", strconv.Itoa(n+1)) // one more says that there are more
		}
	}
	l := newListing(w, limit)
	warnings, err := d.list(r.Context(), s, query, l)
	if err != nil && !l.sent() {
		failWith(w, err)
		return
	}
	if err != nil {
		abort(r.Context(), err)
	}
	l.end(warnings)
}

// list asks all shards, and hands their series on one shard after the other.
func (d *doors) list(ctx context.Context, s span, query url.Values, l *listing) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	shards := d.Shards.All()
	bodies := make([]io.ReadCloser, len(shards))
	defer func() {
		for _, b := range bodies {
			if b != nil {
				b.Close()
			}
		}
	}()
	warnings, err := askAll(ctx, shards, s, func(i int, server *shard.Server) (err error) {
		bodies[i], err = server.Post(ctx, "/api/v1/series", query)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, body := range bodies {
		if body == nil {
			continue
		}
		said, err := l.take(body)
		if err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, &shard.UnavailableError{Server: "shard " + shards[i].Name, Err: err}
		}
		for _, text := range said {
			if text != truncated && !slices.Contains(warnings, text) && len(warnings) < mostSaid {
				warnings = append(warnings, text)
			}
		}
	}
	return warnings, nil
}

// listing is a list of series on its way out.
type listing struct {
	w     http.ResponseWriter
	to    *bufio.Writer
	begun bool
	bytes int // written, sent or not
	some  bool
	seen  map[uint64]struct{} // what was written, by its hash
	limit int
	cut   bool
}

const truncated = "results truncated due to limit"

func newListing(w http.ResponseWriter, limit int) *listing {
	return &listing{w: w, to: bufio.NewWriterSize(w, 256<<10), seen: map[uint64]struct{}{}, limit: limit}
}

// sent reports whether some of it has left, so that an error cannot be said any more.
func (l *listing) sent() bool { return l.to.Buffered() < l.bytes }

func (l *listing) put(text []byte) {
	l.bytes += len(text)
	_, _ = l.to.Write(text) // whoever asked is gone
}

func (l *listing) begin() {
	if l.begun {
		return
	}
	l.begun = true
	l.w.Header().Set("Content-Type", "application/json")
	l.put([]byte(`{"status":"success","data":[`))
}

func (l *listing) end(warnings []string) {
	l.begin()
	_, _ = l.to.WriteString("]")
	if l.cut {
		warnings = append(warnings, truncated)
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

// take reads one shard's answer and writes the series in it that were not there before. It returns
// the shard's warnings.
func (l *listing) take(body io.Reader) ([]string, error) {
	in := bufio.NewReaderSize(body, heldSeries)
	head, err := in.ReadSlice('[')
	if err != nil || !isListHead(head) {
		return nil, fmt.Errorf("not a list of series: %.100q", head)
	}
	var object []byte
	for first := true; ; first = false {
		c, err := next(in)
		switch {
		case err != nil:
			return nil, err
		case c == ']':
			return tail(in)
		case !first && c != ',':
			return nil, fmt.Errorf("the list of series has a %q where a comma should be", c)
		case !first:
			if c, err = next(in); err != nil {
				return nil, err
			}
		}
		if c != '{' {
			return nil, fmt.Errorf("the list of series has a %q in it", c)
		}
		if object, err = readObject(in, append(object[:0], '{')); err != nil {
			return nil, err
		}
		l.write(object)
	}
}

// errListCut is also for a list that is cut off cleanly.
var errListCut = fmt.Errorf("the list of series ends early: %w", io.ErrUnexpectedEOF)

// next returns the next byte that is no space.
func next(in *bufio.Reader) (byte, error) {
	for {
		c, err := in.ReadByte()
		if err != nil {
			return 0, errListCut
		}
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c, nil
		}
	}
}

// tail reads what comes behind the list: warnings, and the end.
func tail(in io.Reader) ([]string, error) {
	rest, err := io.ReadAll(io.LimitReader(in, mostTailBytes))
	if err != nil {
		return nil, err
	}
	var said struct{ Warnings, Infos []string }
	if err := json.Unmarshal(append([]byte(`{"data":[]`), rest...), &said); err != nil {
		return nil, fmt.Errorf("what comes behind the list of series: %w", err)
	}
	return append(said.Warnings, said.Infos...), nil
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
		l.put([]byte{','})
	}
	l.some = true
	l.put(object)
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
			return nil, errListCut
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
						return nil, errListCut
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

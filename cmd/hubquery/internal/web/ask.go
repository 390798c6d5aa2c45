package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/hubring/hubring/cmd/hubquery/internal/engine"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

// mostListBytes bounds what a shard's list of names may hold.
const mostListBytes = 256 << 20

// askAll has ask ask every shard at once. Shards that do not answer are an error, or, where the request takes partial
// answers, warnings.
func (d *doors) askAll(ctx context.Context, ask func(i int, server *shard.Server) error) (warnings []string, err error) {
	shards := d.Shards.All()
	errs := make([]error, len(shards))
	var wg sync.WaitGroup
	for i, sh := range shards {
		wg.Go(func() {
			errs[i] = sh.Ask(ctx, 0, 0, func(server *shard.Server) error { return ask(i, server) })
		})
	}
	wg.Wait()
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
	return warnings, nil
}

// gather decodes every shard's answer to one path.
func gather[T any](d *doors, ctx context.Context, path string, query url.Values) (answers []T, warnings []string, err error) {
	answers = make([]T, len(d.Shards.All()))
	warnings, err = d.askAll(ctx, func(i int, server *shard.Server) error {
		body, err := server.Get(ctx, path, query)
		if err != nil {
			return err
		}
		defer body.Close()
		var answer struct {
			Status string
			Data   T
		}
		if err := json.NewDecoder(io.LimitReader(body, mostListBytes)).Decode(&answer); err != nil {
			return &shard.UnavailableError{Server: server.URL(), Err: fmt.Errorf("%s: %w", path, err)}
		}
		answers[i] = answer.Data
		return nil
	})
	return answers, warnings, err
}

// form returns a request's parameters, those of a POST too.
func form(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	if err := r.ParseForm(); err != nil {
		fail(w, http.StatusBadRequest, "bad_data", err.Error())
		return nil, false
	}
	r.Form.Del("partial_response")
	return r.Form, true
}

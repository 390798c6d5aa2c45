package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hubring/hubring/cmd/hubquery/internal/engine"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

const (
	mostListBytes = 256 << 20 // of a shard's list of names
	mostSaid      = 100       // warnings of one answer that are passed on
)

// span is the time that a list is of, in milliseconds, by which the server of a pair is chosen.
type span struct{ from, to int64 }

// lately is the span of what has none.
func lately() span {
	now := time.Now().UnixMilli()
	return span{now - time.Hour.Milliseconds(), now}
}

// within is the span of times as Prometheus' API has them; its end of all times is now.
func within(from, to int64) span {
	s := lately()
	if to < maxTime {
		s.to = to
	}
	if from > minTime {
		s.from = min(from, s.to)
	} else {
		s.from = s.to - time.Hour.Milliseconds()
	}
	return s
}

// askAll has ask ask every one of the shards at once. Those that do not answer are an error, or, where the request takes partial
// answers, warnings.
func askAll(ctx context.Context, shards []*shard.Shard, s span, ask func(i int, server *shard.Server) error) (warnings []string, err error) {
	errs := make([]error, len(shards))
	var wg sync.WaitGroup
	for i, sh := range shards {
		wg.Go(func() {
			errs[i] = sh.Ask(ctx, s.from, s.to, func(server *shard.Server) error { return ask(i, server) })
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
			note(ctx, err)
			return nil, err
		}
	}
	return warnings, nil
}

// gather decodes every shard's answer to one path. Of shards that did not answer there is nothing.
func gather[T any](ctx context.Context, d *doors, s span, path string, query url.Values) (answers []T, warnings []string, err error) {
	shards := d.Shards.All()
	type answer struct {
		Status   string
		Data     T
		Warnings []string
	}
	all := make([]*answer, len(shards))
	warnings, err = askAll(ctx, shards, s, func(i int, server *shard.Server) error {
		body, err := server.Get(ctx, path, query)
		if err != nil {
			return err
		}
		defer body.Close()
		var a answer
		err = json.NewDecoder(io.LimitReader(body, mostListBytes)).Decode(&a)
		if err == nil && a.Status != "success" {
			err = fmt.Errorf("status %.20q", a.Status)
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return &shard.UnavailableError{Server: server.URL(), Err: fmt.Errorf("not an answer to %.100s: %w", path, err)}
		}
		all[i] = &a
		return nil
	})
	for _, a := range all {
		if a == nil {
			continue
		}
		answers = append(answers, a.Data)
		for _, w := range a.Warnings {
			if len(warnings) < mostSaid && !slices.Contains(warnings, w) {
				warnings = append(warnings, w)
			}
		}
	}
	return answers, warnings, err
}

// pick returns those of a request's parameters that the shards are to get. Others, such as Thanos' own, are passed over.
func pick(r *http.Request, names ...string) url.Values {
	some := url.Values{}
	for _, name := range names {
		if values := r.Form[name]; len(values) > 0 {
			some[name] = values
		}
	}
	return some
}

// spanOf reads a list's times as Prometheus does.
func spanOf(form url.Values) (span, error) {
	at := func(name string, none int64) (int64, error) {
		text := form.Get(name)
		if text == "" {
			return none, nil
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil && f > minTime/1000 && f < maxTime/1000 {
			return int64(f * 1000), nil
		}
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return 0, fmt.Errorf("invalid parameter %q: invalid time value for '%s': cannot parse %q to a valid timestamp", name, name, text)
		}
		return t.UnixMilli(), nil
	}
	from, err := at("start", minTime)
	if err != nil {
		return span{}, err
	}
	to, err := at("end", maxTime)
	return within(from, to), err
}

package doors

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// instances are some that are hard to write into a path.
var instances = []string{"plain", "a/b", "/var/tmp", "", "a b", "ü", "100%", ".."}

// Who pushes to a Pushgateway pushes to a hub, and a real Prometheus has it. What a client says it has pushed is there, with its value and
// type, under the labels that it sent, and what it says it has not is not. It survives a kill of the hub, and ends with its group.
func TestPushgateway(t *testing.T) {
	t.Parallel()
	pushToGroups(t, start(t), newPushers())
}

// It is the same for a server that scrapes text.
func TestPushgatewayScrapedByText(t *testing.T) {
	t.Parallel()
	pushToGroups(t, startBy(t, false), newPushers()[:1])
}

func pushToGroups(t *testing.T, s *shard, pushers []*pusher) {
	hub, err := url.Parse(s.hub.URL())
	require.NoError(t, err)
	dir := t.TempDir()
	each := func(phase string, try func(t *testing.T, p *pusher)) {
		t.Helper()
		require.True(t, t.Run(phase, func(t *testing.T) {
			for _, p := range pushers {
				t.Run(p.name, func(t *testing.T) {
					t.Parallel()
					try(t, p)
				})
			}
		}))
	}
	each("push", func(t *testing.T, p *pusher) {
		dir := filepath.Join(dir, p.name)
		require.NoError(t, os.Mkdir(dir, 0o755))
		p.do = p.prepare(t, dir, hub)
		p.all(t, "push")
		s.in(t).hasGroups(p, false)
	})
	types := map[string]string{"backup_rows_total": "counter", "backup_size_bytes": "gauge", "backup_seconds": "histogram", "backup_wait_seconds": "summary"}
	s.hasTypes(types)
	each("add", func(t *testing.T, p *pusher) {
		p.all(t, "add")
		s.in(t).hasGroups(p, true)
	})
	s.hub.Kill()
	require.NoError(t, s.hub.Restart(t.Context()))
	each("after a kill", func(t *testing.T, p *pusher) { s.in(t).hasGroups(p, true) })
	s.hasTypes(types)
	each("replace", func(t *testing.T, p *pusher) {
		p.all(t, "push")
		s.in(t).hasGroups(p, false)
	})
	each("delete", func(t *testing.T, p *pusher) {
		p.all(t, "delete")
		s.in(t).hasByInstance(map[string]map[string]float64{fmt.Sprintf(`count by (instance) ({job=%q})`, p.name): {}})
	})
}

// all has a client do something for all instances, and checks what it says of each.
func (p *pusher) all(t *testing.T, word string) {
	t.Helper()
	p.began = time.Now()
	outcomes := p.do(t, word, instances)
	require.Len(t, outcomes, len(instances))
	for i, instance := range instances {
		if why := p.fails[instance]; why != "" {
			require.Contains(t, outcomes[i], "failed: ", "%s %q", word, instance)
			require.Contains(t, outcomes[i], why, "%s %q", word, instance)
		} else {
			require.Equal(t, "ok", outcomes[i], "%s %q", word, instance)
		}
	}
}

// hasGroups waits until the server has of a client what it pushed, by a scrape from now on, and nothing else.
func (s *shard) hasGroups(p *pusher, added bool) {
	s.t.Helper()
	s.hasByInstance(map[string]map[string]float64{
		fmt.Sprintf(`timestamp(push_time_seconds{job=%q}) > bool %s`, p.name, seconds(time.Now())): p.everywhere(1),
	})
	values := map[string]float64{
		`backup_rows_total{job=%q}`:                             42,
		`backup_size_bytes{job=%q}`:                             1.5,
		`push_time_seconds{job=%q} >= bool ` + seconds(p.began): 1,
		`push_time_seconds{job=%q} <= bool time()`:              1,
		`push_failure_time_seconds{job=%q}`:                     0,
	}
	if !p.simple {
		maps.Copy(values, map[string]float64{
			`backup_seconds_count{job=%q}`:            2,
			`backup_seconds_sum{job=%q}`:              5.5,
			`backup_seconds_bucket{job=%q,le="1.0"}`:  1,
			`backup_seconds_bucket{job=%q,le="10.0"}`: 2,
			`backup_seconds_bucket{job=%q,le="+Inf"}`: 2,
			`backup_wait_seconds_count{job=%q}`:       2,
			`backup_wait_seconds_sum{job=%q}`:         6,
		})
	}
	want := map[string]map[string]float64{fmt.Sprintf(`backup_verified{job=%q}`, p.name): p.everywhere(7)}
	if !added {
		want[fmt.Sprintf(`backup_verified{job=%q}`, p.name)] = map[string]float64{}
	}
	for query, value := range values {
		want[fmt.Sprintf(query, p.name)] = p.everywhere(value)
	}
	s.hasByInstance(want)
}

// everywhere is a value for each instance that a client can push, as it spells it.
func (p *pusher) everywhere(value float64) map[string]float64 {
	byInstance := map[string]float64{}
	for _, instance := range instances {
		if p.fails[instance] != "" {
			continue
		}
		if spelled, otherwise := p.spells[instance]; otherwise {
			instance = spelled
		}
		byInstance[instance] = value
	}
	return byInstance
}

// hasByInstance waits until the answer to each query has these values, by instance.
func (s *shard) hasByInstance(want map[string]map[string]float64) {
	s.t.Helper()
	s.eventually(func(ctx context.Context) error {
		for query, values := range want {
			got, err := s.server.By(ctx, "instance", query)
			if err != nil {
				return err
			}
			if !maps.Equal(got, values) {
				return fmt.Errorf("%s is %v, not %v", query, got, values)
			}
		}
		return nil
	})
}

// in is the shard for a test below.
func (s *shard) in(t *testing.T) *shard {
	below := *s
	below.t = t
	return &below
}

// seconds is a time as it is written in PromQL.
func seconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}

// What is pushed to groups has a room of its own: while the log is full it is taken as ever. Where that is used up, a client is told.
func TestPushgatewayWhileTheHubIsFull(t *testing.T) {
	t.Parallel()
	s := start(t, "--limit.samples=200", "--no-gateway.first-samples", "--pushgateway.max-groups=1")
	ended := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	pushed := 0.0
	go func() {
		defer close(ended)
		for n := 1; ctx.Err() == nil; n++ {
			body := fmt.Sprintf("load{gatewayID=\"gw\"} %d %d\n", n, time.Now().UnixMilli())
			resp, err := http.Post(s.hub.URL()+"/metrics", "", strings.NewReader(body)) // taken or not
			if !assert.NoError(t, err) {
				return
			}
			_ = resp.Body.Close()
			rows := prometheus.NewGauge(prometheus.GaugeOpts{Name: "backup_rows", Help: "Rows."})
			rows.Set(float64(n))
			if !assert.NoError(t, push.New(s.hub.URL(), "backup").Collector(rows).PushContext(t.Context())) {
				return
			}
			pushed = float64(n)
			select {
			case <-time.After(5 * time.Millisecond): // the client's interval
			case <-ctx.Done():
			}
		}
	}()
	s.full()
	stop()
	<-ended
	s.has(map[string]float64{`backup_rows{job="backup"}`: pushed, `count(load) > bool 0`: 1})
	err := push.New(s.hub.URL(), "other").Collector(prometheus.NewGauge(prometheus.GaugeOpts{Name: "backup_rows", Help: "Rows."})).PushContext(t.Context())
	require.ErrorContains(t, err, "unexpected status code 429")
	require.ErrorContains(t, err, "there are 1 groups, which is the limit")
}

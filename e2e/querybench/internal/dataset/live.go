package dataset

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/querybench/internal/servers"
)

const (
	sourcesEach     = 10 // whose reports make one push
	refusedPause    = 200 * time.Millisecond
	storedTimeout   = 5 * time.Minute
	divisionsAtOnce = 2 // bounds memory
)

// Programs are the paths of what the last hour goes through.
type Programs struct{ Prometheus, EdgeHub string }

// scrapeConfig is a server's while the hour goes in: as the README has it. Its arguments
// are the hub's name, twice, and address.
const scrapeConfig = `scrape_configs:
  - job_name: edgehub
    honor_labels: true
    honor_timestamps: true
    scrape_interval: 5s
    scrape_timeout: 5s
    static_configs:
      - targets: [%[2]q]
        labels: {instance: %[1]q}
    metric_relabel_configs:
      - {source_labels: [instance], regex: %[1]q, target_label: instance, replacement: ""}
      - {source_labels: [job], regex: edgehub, target_label: job, replacement: ""}
`

// lane is a hub, the server that scrapes it, and the sources that report to it.
type lane struct {
	data    string
	sources []int
	hub     *servers.Server
	server  *servers.Server
}

// lanes are those of one division; without one, a single lane with everything.
func (f *fleet) lanes(d *division) []*lane {
	if d == nil {
		one := &lane{data: wholeData}
		for i := range f.sources {
			one.sources = append(one.sources, i)
		}
		return []*lane{one}
	}
	var out []*lane
	for p := range d.parts {
		out = append(out, &lane{data: partData(d.parts, p)})
	}
	for i, stays := range d.stays {
		last := out[stays[len(stays)-1].part]
		last.sources = append(last.sources, i)
	}
	return out
}

// writeLive sends the last hour through hubs into the heads of servers, and stops them.
func (f *fleet) writeLive(ctx context.Context, dir string, start int64, programs Programs, d *division) (err error) {
	lanes := f.lanes(d)
	set, err := servers.NewSet(filepath.Join(dir, "logs", strconv.Itoa(len(lanes))))
	if err != nil {
		return err
	}
	defer set.Kill()
	g, gctx := errgroup.WithContext(ctx)
	for i, l := range lanes {
		g.Go(func() error {
			if err := l.start(gctx, set, dir, fmt.Sprintf("edgehub-%d", i), programs); err != nil {
				return err
			}
			if err := f.push(gctx, l, start); err != nil {
				return fmt.Errorf("push to %s: %w", l.hub.Name, err)
			}
			return f.awaitStored(gctx, l, start)
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, set.Log())
	}
	if err := set.Stop(); err != nil {
		return err
	}
	for _, l := range lanes {
		if err := keepOnlyPushed(filepath.Join(dir, l.data)); err != nil {
			return fmt.Errorf("tidy the log of %s: %w", l.data, err)
		}
	}
	return nil
}

// start starts the lane's server and its hub. Each has to know the other's address, so
// the server gets its configuration when the hub is there.
func (l *lane) start(ctx context.Context, set *servers.Set, dir, name string, programs Programs) (err error) {
	config, err := set.Write(name+".yml", "")
	if err != nil {
		return err
	}
	l.server, err = set.Start(ctx, servers.Spec{
		Name: "prometheus-of-" + name, Path: programs.Prometheus, Ports: 1, Ready: "/-/ready",
		Args: func(a []string) []string {
			return append(prometheusArgs(config, filepath.Join(dir, l.data), a[0], takesOld), "--web.enable-lifecycle", "--scrape.discovery-reload-interval=200ms")
		},
	})
	if err != nil {
		return err
	}
	l.hub, err = set.Start(ctx, servers.Spec{
		Name: name, Path: programs.EdgeHub, Ports: 1, Ready: "/-/ready",
		Args: func(a []string) []string {
			return []string{
				"--web.listen-address=" + a[0], "--web.stop-timeout=5s", "--scrape.server=" + l.server.URL(""),
				"--scrape.max-age=10h", "--gateway.ends-after=0", // an hour in a minute is no silence
			}
		},
	})
	if err != nil {
		return err
	}
	if _, err := set.Write(name+".yml", fmt.Sprintf(scrapeConfig, name, l.hub.Addresses[0])); err != nil {
		return err
	}
	_, err = call(ctx, http.MethodPost, l.server.URL("/-/reload"), "", nil)
	return err
}

// A head refuses what is older than half of a block, and it has samples of the server's own
// that are of now. With this length of a block the hour may take its time; what is in the log
// is the same.
const takesOld = "24h"

// PrometheusArgs are the arguments of a Prometheus that is asked: it keeps what it has, and
// joins no blocks, as one whose sidecar uploads them.
func PrometheusArgs(config, data, address string) []string {
	return prometheusArgs(config, data, address, "2h")
}

func prometheusArgs(config, data, address, block string) []string {
	return []string{
		"--config.file=" + config, "--storage.tsdb.path=" + data, "--web.listen-address=" + address,
		"--storage.tsdb.retention.time=100y", "--storage.tsdb.min-block-duration=" + block, "--storage.tsdb.max-block-duration=" + block,
		"--query.timeout=180s", "--log.level=warn",
	}
}

// push sends the hour, minute by minute.
func (f *fleet) push(ctx context.Context, l *lane, start int64) error {
	var groups []*group
	for _, sources := range slices.Collect(slices.Chunk(l.sources, sourcesEach)) {
		groups = append(groups, f.group(sources))
	}
	var body []byte
	for minute := dayMinutes; minute < Minutes; minute++ {
		for _, gr := range groups {
			body = gr.append(body[:0], f, start, minute)
			if err := post(ctx, l.hub.URL("/metrics"), body); err != nil {
				return err
			}
		}
	}
	return nil
}

// group is sources whose reports make one push, in the order of their series, so that
// families stay together.
type group struct {
	series []int
	lines  []string // of each: what stands before its value
}

func (f *fleet) group(sources []int) *group {
	gr := &group{}
	for _, src := range sources {
		for _, i := range f.sources[src].series {
			if f.series[i].kind != first { // the hub writes it
				gr.series = append(gr.series, i)
			}
		}
	}
	slices.Sort(gr.series)
	family := ""
	for _, i := range gr.series {
		s := &f.series[i]
		name, word := s.family()
		line := exposed(s.labels)
		if name != family {
			line = "# TYPE " + name + " " + word + "\n" + line
			family = name
		}
		gr.lines = append(gr.lines, line)
	}
	return gr
}

// family is the name and the type of the family that a series belongs to.
func (s *series) family() (name, word string) {
	name = s.labels.Get(model.MetricNameLabel)
	switch {
	case strings.HasPrefix(name, Histogram):
		return Histogram, "histogram"
	case s.kind == counts:
		return name, "counter"
	default:
		return name, "gauge"
	}
}

// exposed is how the text format spells a series, with a blank behind it.
func exposed(lset labels.Labels) string {
	var b strings.Builder
	b.WriteString(lset.Get(model.MetricNameLabel))
	separator := byte('{')
	lset.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel {
			b.WriteByte(separator)
			b.WriteString(l.Name + "=" + strconv.Quote(l.Value))
			separator = ','
		}
	})
	if separator == ',' {
		b.WriteByte('}')
	}
	b.WriteByte(' ')
	return b.String()
}

func (gr *group) append(dst []byte, f *fleet, start int64, minute int) []byte {
	for k, i := range gr.series {
		s := &f.series[i]
		at := f.time(start, s.source, minute)
		dst = append(dst, gr.lines[k]...)
		dst = strconv.AppendFloat(dst, f.value(s, minute, at), 'g', -1, 64)
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, at, 10)
		dst = append(dst, '\n')
	}
	return dst
}

// post pushes until the hub takes it: a full one asks for patience.
func post(ctx context.Context, target string, body []byte) error {
	for {
		status, err := call(ctx, http.MethodPost, target, "text/plain; version=0.0.4", body)
		if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(refusedPause):
		}
	}
}

// call makes a request of which only the status matters.
func call(ctx context.Context, method, target, contentType string, body []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s answered %s: %s", target, resp.Status, text)
	}
	return resp.StatusCode, err
}

// awaitStored waits until the server has each sample of the hour once, name by name, since
// PromQL counts no samples of different names.
func (f *fleet) awaitStored(ctx context.Context, l *lane, start int64) error {
	want := map[string]int{}
	for _, src := range l.sources {
		for _, i := range f.sources[src].series {
			if f.series[i].kind != first {
				want[f.series[i].labels.Get(model.MetricNameLabel)] += liveMinutes
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, storedTimeout)
	defer cancel()
	for name, n := range want {
		err := process.Until(ctx, func() error {
			got, err := stored(ctx, l.server, name, start)
			if err == nil && got != n {
				err = fmt.Errorf("%s has %d of %d samples of %s", l.server.Name, got, n, name)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// stored counts what a server has of a name in the last hour.
func stored(ctx context.Context, v *servers.Server, name string, start int64) (int, error) {
	end := start + Minutes*Minute
	params := url.Values{
		"query": {fmt.Sprintf("sum(count_over_time(%s[%dm]))", name, liveMinutes)},
		"time":  {strconv.FormatFloat(float64(end-1)/1000, 'f', 3, 64)},
	}
	var found struct {
		Result model.Vector `json:"result"`
	}
	if err := promapi.New(v.Addresses[0]).Get(ctx, "/api/v1/query", params, &found); err != nil {
		return 0, err
	}
	if len(found.Result) == 0 {
		return 0, nil
	}
	return int(found.Result[0].Value), nil
}

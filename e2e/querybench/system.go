package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/querybench/internal/ask"
	"github.com/hubring/hubring/e2e/querybench/internal/dataset"
	"github.com/hubring/hubring/e2e/querybench/internal/servers"
)

// The systems that are measured, by the letter that names them.
const (
	modeOne         = "A"
	modeVictoria    = "V"
	modeShards      = "S"
	modeVictorias   = "W"
	modeThanos      = "B"
	modeDistributed = "D"
	modeBound       = "F"
)

// modes are all of them, with what each is.
var modes = []struct{ letter, what string }{
	{modeOne, "one Prometheus with everything"},
	{modeVictoria, "one VictoriaMetrics with everything, its cache of answers off"},
	{modeShards, "hubquery over N Prometheus servers"},
	{modeVictorias, "hubquery over N VictoriaMetrics"},
	{modeThanos, "a Thanos querier that deduplicates, over N sidecars and their Prometheus servers"},
	{modeDistributed, "a Thanos querier a shard, and one above them in distributed mode"},
	{modeBound, "the N Prometheus servers asked themselves and nothing merged: the bound"},
}

// equalByRight are the systems that must answer as one Prometheus does. Of the others a
// difference is a finding.
func equalByRight(mode string) bool { return mode == modeShards }

// system is something that answers queries.
type system struct {
	mode    string
	name    string // with the number of its parts
	parts   int
	clients []ask.Client // one; of the bound one a part
	servers []*servers.Server
	own     *servers.Set // what ends with it
}

// ask asks, all parts at the same time, and returns the last one's answer.
func (s *system) ask(ctx context.Context, q ask.Query) ([][]byte, error) {
	if len(s.clients) == 1 {
		return s.clients[0].Ask(ctx, q)
	}
	answers := make([][][]byte, len(s.clients))
	g, ctx := errgroup.WithContext(ctx)
	for i, c := range s.clients {
		g.Go(func() (err error) {
			answers[i], err = c.Ask(ctx, q)
			return err
		})
	}
	return answers[len(answers)-1], g.Wait()
}

// stop ends the system's programs, but not those that it shares with others.
func (s *system) stop() {
	if s != nil && s.own != nil {
		s.own.Kill()
		_ = os.RemoveAll(s.own.Dir("")) // it is below a folder that is removed anyway
	}
}

// hall starts systems over a data set.
type hall struct {
	set      *dataset.Set
	programs programs
	dir      string // for logs and configuration
	sets     int
}

// programs are the paths of the binaries. Those that are not there are empty.
type programs struct {
	prometheus, thanos, edgehub, hubquery, victoria string
}

func (h *hall) newSet() (*servers.Set, error) {
	h.sets++
	return servers.NewSet(fmt.Sprintf("%s/%d", h.dir, h.sets))
}

// one starts the Prometheus with everything.
func (h *hall) one(ctx context.Context) (*system, error) {
	set, err := h.newSet()
	if err != nil {
		return nil, err
	}
	s := &system{mode: modeOne, name: modeOne, parts: 1, own: set}
	v, err := h.prometheus(ctx, set, "prometheus", "", h.set.Whole(), servers.Merging)
	if err != nil {
		return nil, err
	}
	s.servers, s.clients = []*servers.Server{v}, []ask.Client{{Base: v.URL("")}}
	return s, h.awaitAll(ctx, s)
}

func (h *hall) prometheus(ctx context.Context, set *servers.Set, name, config, data string, shard int) (*servers.Server, error) {
	file, err := set.Write(name+".yml", config)
	if err != nil {
		return nil, err
	}
	return set.Start(ctx, servers.Spec{
		Name: name, Path: h.programs.prometheus, Ports: 1, Ready: "/-/ready", Shard: shard,
		Args: func(a []string) []string { return dataset.PrometheusArgs(file, data, a[0]) },
	})
}

// shards starts the Prometheus servers of the parts, each with its number as a label that
// it puts on what it gives to others.
func (h *hall) shards(ctx context.Context, parts int) (*system, error) {
	set, err := h.newSet()
	if err != nil {
		return nil, err
	}
	s := &system{mode: modeBound, name: modeBound + strconv.Itoa(parts), parts: parts, own: set}
	s.servers, s.clients = make([]*servers.Server, parts), make([]ask.Client, parts)
	g, ctx := errgroup.WithContext(ctx)
	for i := range parts {
		g.Go(func() error {
			config := fmt.Sprintf("global: {external_labels: {shard: \"%d\"}}\n", i)
			v, err := h.prometheus(ctx, set, fmt.Sprintf("prometheus-%d", i), config, h.set.Part(parts, i), i)
			if err == nil {
				s.servers[i], s.clients[i] = v, ask.Client{Base: v.URL("")}
			}
			return err
		})
	}
	return s, g.Wait()
}

// over starts what puts answers of shards together.
func (h *hall) over(ctx context.Context, mode string, shards *system) (s *system, err error) {
	set, err := h.newSet()
	if err != nil {
		return nil, err
	}
	s = &system{mode: mode, name: mode + strconv.Itoa(shards.parts), parts: shards.parts, own: set}
	s.servers = append(s.servers, shards.servers...)
	defer func() {
		if err != nil {
			err = fmt.Errorf("start %s: %w\n%s", s.name, err, set.Log())
			s.stop()
		}
	}()
	var merging *servers.Server
	switch mode {
	case modeShards:
		merging, err = h.hubquery(ctx, s, "prometheus")
	case modeVictorias:
		merging, err = h.hubquery(ctx, s, "victoriametrics")
	case modeThanos, modeDistributed:
		merging, err = h.thanos(ctx, s, mode == modeDistributed)
	default:
		return nil, fmt.Errorf("BUG: %q is over no shards", mode)
	}
	if err != nil {
		return nil, err
	}
	s.servers = append(s.servers, merging)
	client := ask.Client{Base: merging.URL("")}
	if mode == modeThanos || mode == modeDistributed {
		client.Params = url.Values{"dedup": {"true"}, "partial_response": {"false"}}
	}
	s.clients = []ask.Client{client}
	return s, h.awaitAll(ctx, s)
}

// awaitAll waits until the system knows all gateways.
func (h *hall) awaitAll(ctx context.Context, s *system) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	q := ask.Query{Name: "gateways", Requests: []ask.Request{{Path: "/api/v1/query", Params: url.Values{
		"query": {"count(" + dataset.GaugeName(0) + ")"}, "time": {strconv.FormatInt(h.set.End()/1000, 10)},
	}}}}
	return process.Until(ctx, func() error {
		bodies, err := s.ask(ctx, q)
		if err != nil {
			return err
		}
		var answer struct {
			Data struct {
				Result []struct {
					Value [2]any `json:"value"`
				} `json:"result"`
			} `json:"data"`
		}
		if err := json.Unmarshal(bodies[0], &answer); err != nil {
			return err
		}
		if len(answer.Data.Result) != 1 || answer.Data.Result[0].Value[1] != strconv.Itoa(h.set.Shape.Gateways) {
			return fmt.Errorf("%s counts %v of %d gateways", s.name, answer.Data.Result, h.set.Shape.Gateways)
		}
		return nil
	})
}

func (h *hall) hubquery(ctx context.Context, s *system, kind string) (*servers.Server, error) {
	var config strings.Builder
	config.WriteString("shards:\n")
	for i, v := range s.servers {
		fmt.Fprintf(&config, "- {name: \"%d\", servers: [%q], kind: %s}\n", i, v.URL(""), kind)
	}
	file, err := s.own.Write("shards.yaml", config.String())
	if err != nil {
		return nil, err
	}
	return s.own.Start(ctx, servers.Spec{
		Name: "hubquery", Path: h.programs.hubquery, Ports: 1, Ready: "/-/ready", Shard: servers.Merging,
		Args: func(a []string) []string {
			return []string{"--web.listen-address=" + a[0], "--query.timeout=180s", "--log.level=warn", "--shards.file=" + file}
		},
	})
}

// thanos starts a sidecar a shard, in distributed mode a querier a shard, and the querier
// over them.
func (h *hall) thanos(ctx context.Context, s *system, distributed bool) (*servers.Server, error) {
	component := func(ctx context.Context, name, command string, shard int, args ...string) (*servers.Server, error) {
		return s.own.Start(ctx, servers.Spec{
			Name: name, Path: h.programs.thanos, Ports: 2, Ready: "/-/ready", Shard: shard,
			Args: func(a []string) []string {
				return append([]string{command, "--grpc-address=" + a[0], "--http-address=" + a[1], "--log.level=warn"}, args...)
			},
		})
	}
	querier := func(ctx context.Context, name string, shard int, args ...string) (*servers.Server, error) {
		return component(ctx, name, "query", shard, append([]string{
			"--query.timeout=180s", "--store.response-timeout=60s", "--query.active-query-path=" + s.own.Dir(name),
			"--no-query.partial-response", "--query.replica-label=prometheus_replica", "--endpoint.info-timeout=5s",
		}, args...)...)
	}
	type pair struct{ sidecar, querier *servers.Server }
	pairs := make([]pair, s.parts)
	g, gctx := errgroup.WithContext(ctx)
	for i := range s.parts {
		g.Go(func() (err error) {
			pairs[i].sidecar, err = component(gctx, fmt.Sprintf("sidecar-%d", i), "sidecar", i,
				"--prometheus.url="+s.servers[i].URL(""), "--tsdb.path="+h.set.Part(s.parts, i))
			if err == nil && distributed {
				pairs[i].querier, err = querier(gctx, fmt.Sprintf("querier-%d", i), i, "--endpoint="+pairs[i].sidecar.Addresses[0])
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var args []string
	if distributed {
		args = []string{"--query.mode=distributed", "--query.promql-engine=thanos", "--query.distributed-with-overlapping-interval"}
	} else {
		args = []string{"--query.replica-label=shard"}
	}
	for _, p := range pairs {
		s.servers = append(s.servers, p.sidecar)
		below := p.sidecar
		if distributed {
			s.servers = append(s.servers, p.querier)
			below = p.querier
		}
		args = append(args, "--endpoint="+below.Addresses[0])
	}
	return querier(ctx, "querier", servers.Merging, args...)
}

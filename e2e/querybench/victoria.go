package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hubring/hubring/e2e/querybench/internal/ask"
	"github.com/hubring/hubring/e2e/querybench/internal/servers"
)

// victoria starts the VictoriaMetrics with everything, and loads it the first time.
func (h *hall) victoria(ctx context.Context) (*system, error) {
	set, err := h.newSet()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(h.set.Dir(), "victoria")
	if err := h.loadVictoria(ctx, data, h.set.Import); err != nil {
		return nil, err
	}
	s := &system{mode: modeVictoria, name: modeVictoria, parts: 1, own: set}
	v, err := h.startVictoria(ctx, set, data, servers.Merging)
	if err != nil {
		return nil, err
	}
	s.servers = []*servers.Server{v}
	s.clients = []ask.Client{{Base: v.URL(""), Params: url.Values{"nocache": {"1"}}}}
	return s, h.awaitAll(ctx, s)
}

// victorias starts a VictoriaMetrics for each part.
func (h *hall) victorias(ctx context.Context, parts int) (*system, error) {
	set, err := h.newSet()
	if err != nil {
		return nil, err
	}
	s := &system{mode: modeVictorias, name: modeVictorias + strconv.Itoa(parts), parts: parts, own: set}
	for i := range parts {
		data := filepath.Join(h.set.Dir(), fmt.Sprintf("victoria-of-%d", parts), strconv.Itoa(i))
		if err := h.loadVictoria(ctx, data, func(ctx context.Context, target string, done func(n, of int)) error {
			return h.set.ImportPart(ctx, parts, i, target, done)
		}); err != nil {
			return s, err
		}
		v, err := h.startVictoria(ctx, set, data, i)
		if err != nil {
			return s, err
		}
		s.servers = append(s.servers, v)
	}
	return s, nil
}

func (h *hall) startVictoria(ctx context.Context, set *servers.Set, data string, shard int) (*servers.Server, error) {
	return set.Start(ctx, servers.Spec{
		Name: "victoria-metrics-" + filepath.Base(data), Path: h.programs.victoria, Ports: 1, Ready: "/health", Shard: shard,
		Args: func(a []string) []string {
			return []string{
				"-httpListenAddr=" + a[0], "-storageDataPath=" + data, "-retentionPeriod=100y", "-loggerLevel=WARN",
				// Its defaults refuse some of what the others answer.
				"-search.maxUniqueTimeseries=2000000", "-search.maxPointsPerTimeseries=100000", "-search.maxQueryDuration=180s",
				"-search.maxSamplesPerQuery=10000000000", "-search.maxSeries=1000000", "-search.maxLabelsAPISeries=2000000",
				"-search.maxLabelsAPIDuration=60s",
				// It answers for now, and looks back as Prometheus does.
				"-search.latencyOffset=0s", "-search.minStalenessInterval=5m",
			}
		},
	})
}

// loadVictoria fills a folder, unless that was done.
func (h *hall) loadVictoria(ctx context.Context, data string, load func(ctx context.Context, target string, done func(n, of int)) error) error {
	mark := data + ".loaded"
	_, err := os.Stat(mark)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := h.fillVictoria(ctx, data, load); err != nil {
		return errors.Join(fmt.Errorf("load VictoriaMetrics: %w", err), os.RemoveAll(data))
	}
	return os.WriteFile(mark, nil, 0o644)
}

func (h *hall) fillVictoria(ctx context.Context, data string, load func(ctx context.Context, target string, done func(n, of int)) error) error {
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	set, err := h.newSet()
	if err != nil {
		return err
	}
	defer set.Kill()
	v, err := h.startVictoria(ctx, set, data, servers.Merging)
	if err != nil {
		return err
	}
	began := time.Now()
	say("loading VictoriaMetrics, ten minutes of data at a time")
	err = load(ctx, v.URL("/api/v1/import"), func(n, of int) {
		if n%30 == 0 || n == of {
			say("  %d of %d", n, of)
		}
	})
	if err != nil {
		return err
	}
	if err := set.Stop(); err != nil { // so that all of it is on disk
		return err
	}
	say("loaded in %.0f s", time.Since(began).Seconds())
	return nil
}

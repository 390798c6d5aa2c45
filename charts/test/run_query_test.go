//go:build linux

package charttest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheus "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// queries asks a Prometheus server, hubquery or a Thanos querier.
type queries struct{ api prometheus.API }

// queriesTo returns what asks an address, and adds parameters to every request, such as partial_response=false.
func queriesTo(t *testing.T, address, parameters string) queries {
	t.Helper()
	client, err := api.NewClient(api.Config{Address: "http://" + address, RoundTripper: adding(parameters)})
	require.NoError(t, err)
	return queries{prometheus.NewAPI(client)}
}

// adding adds parameters to the URL of requests.
type adding string

func (a adding) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.RawQuery += string(a)
	return http.DefaultTransport.RoundTrip(req)
}

// value asks for the one value of a query; nothing is 0. An answer without a part of the servers has warnings.
func (q queries) value(ctx context.Context, query string) (value float64, warnings []string, err error) {
	answer, warnings, err := q.api.Query(ctx, query, time.Now())
	if err != nil {
		return 0, nil, fmt.Errorf("query %s: %w", query, err)
	}
	vector, ok := answer.(model.Vector)
	switch {
	case !ok || len(vector) > 1:
		return 0, nil, fmt.Errorf("query %s: answered %s", query, answer)
	case len(vector) == 0:
		return 0, warnings, nil
	}
	return float64(vector[0].Value), warnings, nil
}

// countsAll returns an error unless every gateway is counted once, by an answer of all servers.
func (q queries) countsAll(ctx context.Context, gateways float64) error {
	for _, query := range []string{"count(gateway_up)", "sum(gateway_up)"} {
		value, warnings, err := q.value(ctx, query)
		if err != nil {
			return err
		}
		if value != gateways || len(warnings) > 0 {
			return fmt.Errorf("query %s: got %v, want %v %q", query, value, gateways, warnings)
		}
	}
	return nil
}

// hasAll returns an error unless every sample that hubs have taken of a fleet is stored.
func (q queries) hasAll(ctx context.Context, f *fleet) error {
	stored, err := q.stored(ctx, "gateway_reports")
	if err != nil {
		return err
	}
	return f.missing(stored)
}

// alertsOf returns an error unless the alerts of exactly these gateways fire, once each.
func (q queries) alertsOf(ctx context.Context, gateways ...string) error {
	answer, err := q.api.Alerts(ctx)
	if err != nil {
		return fmt.Errorf("ask for alerts: %w", err)
	}
	var has []string
	for _, a := range answer.Alerts {
		if a.State == prometheus.AlertStateFiring && a.Labels["alertname"] == "GatewayAlarm" {
			has = append(has, string(a.Labels["gatewayID"]))
		}
	}
	if !maps.Equal(once(gateways), once(has)) {
		return fmt.Errorf("alerts fire for %q, want %q", has, gateways)
	}
	return nil
}

// stored returns how often each gateway has a sample at each time, in the series of a selector.
func (q queries) stored(ctx context.Context, selector string) (map[string]map[int64]int, error) {
	query := selector + "[30m]"
	answer, warnings, err := q.api.Query(ctx, query, time.Now())
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", query, err)
	}
	matrix, ok := answer.(model.Matrix)
	if !ok || len(warnings) > 0 {
		return nil, fmt.Errorf("query %s: answered a %s %q", query, answer.Type(), warnings)
	}
	times := map[string]map[int64]int{}
	for _, stream := range matrix {
		id := string(stream.Metric["gatewayID"])
		if times[id] == nil {
			times[id] = map[int64]int{}
		}
		for _, pair := range stream.Values {
			times[id][int64(pair.Timestamp)]++
		}
	}
	return times, nil
}

// stores are all servers of a release, each of which is asked for itself, by the names of their pods.
type stores map[string]queries

// everything returns them.
func everything(t *testing.T, r *liveRelease) stores {
	t.Helper()
	all := stores{}
	for _, s := range r.release.servers(t) {
		all[s.name] = queriesTo(t, r.release.host(s.pod)+":9090", "")
	}
	return all
}

// of returns the first servers of pairs, or the second ones.
func (s stores) of(replica string) stores {
	second := regexp.MustCompile(`-prometheus-b-\d+$`)
	some := stores{}
	for name, q := range s {
		if second.MatchString(name) == (replica == "b") {
			some[name] = q
		}
	}
	return some
}

// hasAll returns an error unless every sample that hubs have taken of a fleet is stored, on one of the servers at least.
func (s stores) hasAll(ctx context.Context, f *fleet) error {
	all := map[string]map[int64]int{}
	for _, q := range s {
		stored, err := q.stored(ctx, "gateway_reports")
		if err != nil {
			return err
		}
		for gateway, times := range stored {
			if all[gateway] == nil {
				all[gateway] = map[int64]int{}
			}
			for at, n := range times {
				all[gateway][at] += n
			}
		}
	}
	return f.missing(all)
}

// each returns the value of a query on each server that has one.
func (s stores) each(ctx context.Context, query string) (map[string]float64, error) {
	values := map[string]float64{}
	for name, q := range s {
		value, _, err := q.value(ctx, query)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if value != 0 {
			values[name] = value
		}
	}
	return values, nil
}

// homes returns the gateways on each server, in order.
func (s stores) homes(ctx context.Context) (map[string][]string, error) {
	homes := map[string][]string{}
	for name, q := range s {
		answer, _, err := q.api.Query(ctx, "gateway_up", time.Now())
		if err != nil {
			return nil, fmt.Errorf("ask %s for its gateways: %w", name, err)
		}
		for _, sample := range answer.(model.Vector) {
			homes[name] = append(homes[name], string(sample.Metric["gatewayID"]))
		}
		slices.Sort(homes[name])
	}
	return homes, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring"
)

const (
	// maxListBytes bounds a hub's list: of a million gateways with names of 60 bytes.
	maxListBytes = 256 << 20
	askedAtOnce  = 8
)

// inventory is what hubs know of gateways.
type inventory struct {
	client *http.Client
	port   int           // of the lists; 0 is the port of pushes
	label  string        // that names the gateway
	maxAge time.Duration // since a gateway's last push
}

// listed is a gateway on one hub's list.
type listed struct {
	series int
	pushed float64 // seconds
}

// loads asks all hubs. A gateway that several know has as many series as the one says that it
// pushed to last. Of hubs that did not answer, missing has the errors.
func (v *inventory) loads(ctx context.Context, hubs []members.Hub, now time.Time) (loads []hashring.Load, missing []error) {
	lists := make([]map[string]listed, len(hubs))
	errs := make([]error, len(hubs))
	room := make(chan struct{}, askedAtOnce)
	var asking sync.WaitGroup
	for i, h := range hubs {
		asking.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			if lists[i], errs[i] = v.ask(ctx, h); errs[i] != nil {
				errs[i] = fmt.Errorf("hub %s: %w", h.Name, errs[i])
			}
		})
	}
	asking.Wait()
	newest := map[string]listed{}
	since := float64(now.Add(-v.maxAge).UnixMilli()) / 1000
	for _, list := range lists {
		for gateway, l := range list {
			known, is := newest[gateway]
			switch {
			case gateway == "": // it has no pushes, and what others push there themselves is not moved
				l.series = max(l.series, known.series)
			case l.pushed < since, is && known.pushed >= l.pushed:
				continue
			}
			newest[gateway] = l
		}
	}
	for _, gateway := range slices.Sorted(maps.Keys(newest)) {
		loads = append(loads, hashring.Load{Key: gateway, Series: newest[gateway].series})
	}
	return loads, slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// ask returns a hub's gateways, and under "" the series of none.
func (v *inventory) ask(ctx context.Context, h members.Hub) (map[string]listed, error) {
	from, err := v.listURL(h)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/plain;version=1.0.0;escaping=allow-utf-8")
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body := io.LimitReader(resp.Body, maxListBytes)
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(body, 200))
		return nil, fmt.Errorf("GET /gateways: %s: %q", resp.Status, strings.TrimSpace(string(said)))
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(body)
	if err != nil {
		return nil, fmt.Errorf("read the list of gateways: %w", err)
	}
	list := map[string]listed{}
	for family, note := range map[string]func(*listed, float64){
		"edgehub_gateway_series":                      func(l *listed, value float64) { l.series = int(value) },
		"edgehub_gateway_last_push_timestamp_seconds": func(l *listed, value float64) { l.pushed = value },
		"edgehub_no_gateway_series":                   func(l *listed, value float64) { l.series = int(value) },
	} {
		for _, m := range families[family].GetMetric() {
			gateway := ""
			for _, l := range m.Label {
				if l.GetName() == v.label {
					gateway = l.GetValue()
				}
			}
			value := m.GetGauge().GetValue()
			if m.Gauge == nil || !(value >= 0 && value < math.MaxUint32) || gateway == "" && family != "edgehub_no_gateway_series" {
				return nil, fmt.Errorf("%s has a line for %s=%.60q with the value %g; is --gateway.label the hubs'?", family, v.label, gateway, value)
			}
			l := list[gateway]
			note(&l, value)
			list[gateway] = l
		}
	}
	if len(families) == 0 {
		return nil, errors.New("the list of gateways is empty: it is no edge hub's")
	}
	return list, nil
}

// listURL is where a hub has its list.
func (v *inventory) listURL(h members.Hub) (string, error) {
	u, err := url.Parse(h.URL)
	if err != nil {
		return "", err
	}
	if v.port != 0 {
		u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(v.port))
	}
	return u.JoinPath("gateways").String(), nil
}

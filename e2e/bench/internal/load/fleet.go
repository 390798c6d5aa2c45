// Package load is the fleet that the benchmark pushes: prepared requests, whose
// times and values are written over in place, sent over keep-alive
// connections. So the load costs little beside what it is put on.
package load

import (
	"fmt"
	"slices"
	"strconv"
)

// Shape says what a fleet's pushes look like.
type Shape struct {
	Gateways   int
	SeriesEach int // of one gateway
	PerPush    int // gateways whose reports make one push
	Unstamped  bool
	// Path is where push number i goes. Default /metrics for all.
	Path func(i int) string
	// Format is how reports are written, text if it is nil. It says where they go, too.
	Format *Format
}

// Series is the number of different series of the whole fleet.
func (s Shape) Series() int { return s.Gateways * s.SeriesEach }

// Families are the names of all metrics.
func (s Shape) Families() []string {
	var out []string
	for left := s.SeriesEach; left > 0; {
		f := familyOf(len(out), left)
		left -= len(f.services)
		out = append(out, f.name)
	}
	return out
}

// Pushes returns the requests that report the whole fleet once.
func (s Shape) Pushes(host string) []*Push {
	var out []*Push
	for first := 0; first < s.Gateways; first += s.PerPush {
		if count := min(s.PerPush, s.Gateways-first); s.Format != nil {
			out = append(out, s.formatted(host, first, count))
			continue
		}
		path := "/metrics"
		if s.Path != nil {
			path = s.Path(len(out))
		}
		out = append(out, s.push(host, path, first, min(s.PerPush, s.Gateways-first)))
	}
	return out
}

// push prepares the request of the gateways first to first+count-1. Samples of
// a family stand together, since some servers refuse a second TYPE line.
func (s Shape) push(host, path string, first, count int) *Push {
	p := &Push{Samples: count * s.SeriesEach, count: count}
	var body []byte
	for i, left := 0, s.SeriesEach; left > 0; i++ {
		f := familyOf(i, left)
		left -= len(f.services)
		body = fmt.Appendf(body, "# TYPE %s %s\n", f.name, f.kind)
		for gateway := first; gateway < first+count; gateway++ {
			for _, service := range f.services {
				body = append(body, f.name...)
				body = append(body, `{gatewayID="gw`...)
				p.gateways = append(p.gateways, patch{at: len(body), number: gateway - first})
				body = fmt.Appendf(body, `%0*d",networkID="net1",service="%s"} `, gatewayDigits, gateway, service)
				body = f.appendValue(body, i)
				p.values = append(p.values, len(body)-valueDigits)
				if !s.Unstamped {
					body = append(body, ' ')
					p.stamps = append(p.stamps, len(body))
					body = strconv.AppendInt(body, 1e12, 10)
				}
				body = append(body, '\n')
			}
		}
	}
	head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %d\r\n\r\n",
		path, host, len(body))
	p.head = len(head)
	p.request = slices.Concat(head, body)
	return p
}

// family is one metric of every gateway. Two of five are of one service only, the
// others of three, and so are their values of two kinds.
type family struct {
	name, kind string
	services   []string
}

var (
	subsystems = []string{
		"enodebd", "mme", "sessiond", "pipelined", "subscriberdb", "mobilityd",
		"directoryd", "policydb", "system", "magmad", "control_proxy", "td_agent",
	}
	quantities = []string{
		"requests_total", "errors_total", "bytes_sent_total", "bytes_received_total", "cpu_percent", "memory_bytes",
		"connected_devices", "active_sessions", "queue_depth", "latency_seconds", "uptime_seconds", "temperature_celsius",
	}
	services = []string{"access", "core", "orchestrator"}
)

func familyOf(i, atMost int) family {
	quantity := quantities[i/len(subsystems)%len(quantities)]
	f := family{name: subsystems[i%len(subsystems)] + "_" + quantity, kind: "gauge", services: services}
	if round := i / (len(subsystems) * len(quantities)); round > 0 {
		f.name += "_" + strconv.Itoa(round)
	}
	if i%5 < 2 {
		f.services = services[:1]
	}
	if i%2 == 0 {
		f.kind = "counter"
	}
	f.services = f.services[:min(atMost, len(f.services))]
	return f
}

func (f family) appendValue(dst []byte, i int) []byte {
	if f.kind == "counter" {
		return fmt.Appendf(dst, "%d", 1_000_000+i*7919)
	}
	return fmt.Appendf(dst, "%d.%03d", 20+i%900, i%1000)
}

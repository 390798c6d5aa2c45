package members

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hubring/hubring/hashring"
)

// Resolver is what DNS needs of a net.Resolver. It must be safe for use by
// several goroutines if the DNS is.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// DNS takes the hubs from the answers to a DNS query.
//
// SRV records are what to use: each names a hub by its host and port, and that
// name, as Hub.WithDefaults spells it, is the hub's identity in the ring. A headless service of Kubernetes with a
// port named http has them for its StatefulSet's pods, under
// _http._tcp.edgehub.monitoring.svc.cluster.local. Set publishNotReadyAddresses
// on that service: otherwise a hub that restarts is taken off the answer,
// although its gateways are to come back to it. Consul has them under
// edgehub.service.consul; set enable_truncate in its dns_config, without which
// an answer over UDP names some of the hubs, not all, and does not say so.
//
// The weight of an SRV record is not taken for the hub's, nor is its priority
// looked at. They are there to choose one server for one connection: CoreDNS
// works the weight out of the number of records, and Consul's follows a server's
// health, so every hub that comes, goes or has a bad minute would move the
// gateways of all. Use File for hubs of unequal size. Records do not say how hubs become a ring
// either: where that is not rendezvous set exporter.Config.Ring, or use File.
//
// A and AAAA records name hubs by their addresses. An address is no stable name:
// a hub that restarts with another one is another member, and takes over other
// gateways than it had. Use them only where addresses stay, such as those of
// machines.
type DNS struct {
	// Name is what is looked up. With a dot at the end it is taken as it is;
	// without, the search domains of the host may be tried.
	Name string
	// Type is that of the records: SRV, which is the default, A, AAAA, or A+AAAA
	// for both.
	Type string
	// Port is the port of every hub. It must be set for A and AAAA, and must not
	// for SRV.
	Port int
	// Scheme is that of the hubs' URLs, http or https; the default is http.
	Scheme string
	// Resolver asks; the default is net.DefaultResolver.
	Resolver Resolver
}

// Of the networks that LookupNetIP knows, those of a type.
var dnsNetworks = map[string][]string{
	"A":      {"ip4"},
	"AAAA":   {"ip6"},
	"A+AAAA": {"ip4", "ip6"},
}

const defaultDNSType = "SRV"

func (d DNS) withDefaults() DNS {
	if d.Type == "" {
		d.Type = defaultDNSType
	}
	if d.Scheme == "" {
		d.Scheme = "http"
	}
	if d.Resolver == nil {
		d.Resolver = net.DefaultResolver
	}
	if r, ok := d.Resolver.(*net.Resolver); ok {
		d.Resolver = endedByContext(r)
	}
	return d
}

// endedByContext returns a resolver like r whose questions end with their
// context. Go's own has an eye on the deadline of a context only: when it is
// cancelled, a lookup of SRV records waits for its answer all the same, for five
// seconds and more.
func endedByContext(r *net.Resolver) *net.Resolver {
	dial := r.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &net.Resolver{
		PreferGo:     r.PreferGo,
		StrictErrors: r.StrictErrors,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err == nil {
				context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // fails if it is closed: fine
			}
			return conn, err
		},
	}
}

// Describe names the source for the exporter's status page.
func (d DNS) Describe() (source, detail string) { return "dns", d.withDefaults().Type + " " + d.Name }

// Validate reports every problem at once, joined by errors.Join. It asks nobody.
func (d DNS) Validate() error {
	d = d.withDefaults()
	var found problems
	if d.Name == "" {
		found.add("DNS.Name is empty: say which name to look up")
	} else if _, err := netip.ParseAddr(d.Name); err == nil {
		found.add("DNS.Name %q is an address: nothing needs to be looked up, name it in Config.Hubs", d.Name)
	}
	switch networks := dnsNetworks[d.Type]; {
	case d.Type == defaultDNSType && d.Port != 0:
		found.add("DNS.Port is %d: SRV records say each hub's port, leave it out", d.Port)
	case networks != nil && (d.Port < 1 || d.Port > 65535):
		found.add("DNS.Port is %d: records of type %s have no port, so it must be set, to 65535 at most", d.Port, d.Type)
	case d.Type != defaultDNSType && networks == nil:
		found.add("DNS.Type is %q: it must be SRV, A, AAAA or A+AAAA", d.Type)
	}
	if d.Scheme != "http" && d.Scheme != "https" {
		found.add("DNS.Scheme is %q: it must be http or https", d.Scheme)
	}
	return found.join()
}

// Hubs implements exporter.Membership. Each hub is there once, sorted by name, however
// often the answer has it. The error wraps the resolver's, a *net.DNSError as a
// rule; an answer of which only a part could be had is an error, too.
func (d DNS) Hubs(ctx context.Context) ([]Hub, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	d = d.withDefaults()
	lookup := d.addresses
	if d.Type == defaultDNSType {
		lookup = d.targets
	}
	hosts, err := lookup(ctx)
	if err != nil {
		return nil, fmt.Errorf("look up %s records of %q: %w", d.Type, d.Name, err)
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	if len(hosts) > hashring.MaxNodes {
		return nil, fmt.Errorf("%s records of %q name %d hubs, at most %d are supported", d.Type, d.Name, len(hosts), hashring.MaxNodes)
	}
	hubs := make([]Hub, len(hosts))
	for i, host := range hosts {
		base := url.URL{Scheme: d.Scheme, Host: host}
		h := Hub{URL: base.String()}.WithDefaults()
		hubs[i] = Hub{Name: h.Name, URL: h.URL}
	}
	slices.SortFunc(hubs, func(a, b Hub) int { return strings.Compare(a.Name, b.Name) })
	return hubs, nil
}

// targets returns host:port of each SRV record. Names are in lower case: DNS does
// not tell cases apart, the ring does.
func (d DNS) targets(ctx context.Context) ([]string, error) {
	_, records, err := d.Resolver.LookupSRV(ctx, "", "", d.Name)
	if err != nil {
		return nil, err
	}
	var hosts []string
	for _, r := range records {
		target := strings.ToLower(strings.TrimSuffix(r.Target, "."))
		if target == "" { // the root: "there is no such service"
			continue
		}
		if r.Port == 0 {
			return nil, fmt.Errorf("the record of %q has no port", target)
		}
		hosts = append(hosts, net.JoinHostPort(target, strconv.Itoa(int(r.Port))))
	}
	return hosts, nil
}

// addresses returns address:port of each A or AAAA record. The two types are
// asked for one by one: a resolver that is asked for both returns one when the
// other fails.
func (d DNS) addresses(ctx context.Context) ([]string, error) {
	var hosts []string
	var absent error
	for _, network := range dnsNetworks[d.Type] {
		addrs, err := d.Resolver.LookupNetIP(ctx, network, d.Name)
		var dnsErr *net.DNSError
		if errors.As(err, &dnsErr) && dnsErr.IsNotFound {
			absent = err
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			hosts = append(hosts, netip.AddrPortFrom(a.Unmap(), uint16(d.Port)).String())
		}
	}
	if len(hosts) == 0 && absent != nil {
		return nil, absent
	}
	return hosts, nil
}

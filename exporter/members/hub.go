package members

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/method"
)

// Hub is one place to push to.
type Hub struct {
	// Name is the hub's identity in the ring. It must be the same from every
	// controller and outlive restarts: a StatefulSet's DNS name, not an
	// address. The default is the host (and port) of URL in the one way in which
	// WithDefaults spells them. A name that is given counts to the letter.
	Name string
	// URL is the base, such as http://edgehub-0:9091. Samples are pushed to
	// URL/metrics, and a /metrics at its end is taken for that and left out. When the hub
	// was down URL/-/ready is asked, and then URL/metrics has to take a push of nothing.
	URL string
	// Weight is the hub's share of the gateways relative to the others', from
	// 0.001 to 1000; 0 means 1.
	Weight float64
	// Placement is how all the hubs become a ring, as hashring/method spells it: rendezvous, as without a word,
	// or consistent, with parameters such as consistent/partitions=20011/replicas=200. Each of
	// the hubs must say the same. An exporter with a Config.Ring takes no hubs that name another ring than that.
	Placement string
}

// Weights that hashring takes, beside 0.
const minWeight, maxWeight = 0.001, 1000

// WithDefaults returns the hub as it is compared and used: with a name, a weight and a URL that
// is spelled in one way, so that controllers that spell it differently mean the same hub. The host is
// in lower case and without a dot at its end, an address as net/netip writes it; the port
// is left out if it is the scheme's own, 80 or 443; and so are /metrics and slashes at the end. A
// placement has all of its parameters.
func (h Hub) WithDefaults() Hub {
	if u, err := url.Parse(h.URL); err == nil && u.Host != "" {
		u.Host = canonicalHost(u)
		u.Path, u.RawPath = basePath(u.Path), basePath(u.RawPath)
		h.URL = u.String()
		if h.Name == "" {
			h.Name = u.Host
		}
	}
	if h.Weight == 0 {
		h.Weight = 1
	}
	if by, err := h.method(); err == nil {
		h.Placement = spelled(by)
	}
	return h
}

// method is what Placement spells.
func (h Hub) method() (method.Method, error) {
	if h.Placement == "" {
		return method.Method{}, nil
	}
	return method.Parse(h.Placement)
}

// spelled is the one spelling of a Placement.
func spelled(by method.Method) string {
	if !by.Said() {
		return ""
	}
	return by.String()
}

// canonicalHost is the one spelling of the host and port of a URL.
func canonicalHost(u *url.URL) string {
	host, port := strings.TrimSuffix(u.Hostname(), "."), u.Port()
	if addr, err := netip.ParseAddr(host); err == nil {
		host = addr.Unmap().String()
	} else {
		host = strings.ToLower(host)
	}
	if port != "" && port != defaultPorts[u.Scheme] {
		return net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

var defaultPorts = map[string]string{"http": "80", "https": "443"}

// basePath is a path without what a push appends to it.
func basePath(path string) string {
	for {
		path = strings.TrimRight(path, "/")
		base, ok := strings.CutSuffix(path, "/metrics")
		if !ok {
			return path
		}
		path = base
	}
}

// Validate accepts a hub that has its defaults. The error never contains a password.
func (h Hub) Validate() error {
	switch err := validateURL(h.URL); {
	case err != nil:
		return err
	case h.Name == "":
		return errors.New("it has no name")
	case !utf8.ValidString(h.Name): // it is a label's value
		return errors.New("the name is not valid UTF-8")
	case len(h.Name) > hashring.MaxNameBytes:
		return fmt.Errorf("the name has %d bytes, at most %d are allowed", len(h.Name), hashring.MaxNameBytes)
	case !(h.Weight >= minWeight && h.Weight <= maxWeight): // so that NaN is refused
		return fmt.Errorf("weight %g: it must be between %g and %d, or 0 for 1", h.Weight, minWeight, maxWeight)
	}
	_, err := h.method()
	return err
}

// validateURL accepts the base URL of a hub. The error never contains a
// password.
func validateURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("URL cannot be parsed: it must look like http://edgehub-0:9091")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("URL %q must begin with http:// or https://", u.Redacted())
	case u.Hostname() == "":
		return fmt.Errorf("URL %q has no host", u.Redacted())
	case u.User != nil:
		return fmt.Errorf("URL %q has a user: put credentials into a Transport", u.Redacted())
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fmt.Errorf("URL %q has a query or a fragment: it must be a base to which /metrics is appended", u.Redacted())
	}
	return nil
}

var errNoHubs = errors.New("the answer names no hub")

// Check returns the hubs with their defaults filled in, sorted by name, or says why
// no ring can be built of them; of many faults it names the first few. Unlike
// hashring.New, which finds the same, it builds none: it is asked at every lookup.
func Check(hubs []Hub) ([]Hub, error) {
	if len(hubs) == 0 {
		return nil, errNoHubs
	}
	if len(hubs) > hashring.MaxNodes {
		return nil, fmt.Errorf("%d hubs are named, at most %d are supported", len(hubs), hashring.MaxNodes)
	}
	var found problems
	checked := make([]Hub, len(hubs))
	seen := make(map[string]bool, len(hubs))
	for i, h := range hubs {
		h = h.WithDefaults()
		checked[i] = h
		if err := h.Validate(); err != nil {
			found.add("hub %.100q: %w", h.Name, err)
		} else if seen[h.Name] {
			found.add("hub %q is named twice", h.Name)
		}
		seen[h.Name] = true
	}
	if err := found.join(); err != nil {
		return nil, err
	}
	by, err := Method(checked)
	if err != nil {
		return nil, err
	}
	for i := range checked { // what one says all say
		checked[i].Placement = spelled(by)
	}
	slices.SortFunc(checked, func(a, b Hub) int { return strings.Compare(a.Name, b.Name) })
	return checked, nil
}

// Method is how hubs become a ring, which each of them says, or none. The error names two of which that is not the same, or one
// whose Placement is none.
func Method(hubs []Hub) (by method.Method, err error) {
	for i, h := range hubs {
		own, err := h.method()
		switch {
		case err != nil:
			return method.Method{}, fmt.Errorf("hub %.100q: %w", h.Name, err)
		case i == 0:
			by = own
		case !own.Same(by):
			return method.Method{}, fmt.Errorf("hub %.100q is to be placed by %s and hub %.100q by %s: all need the same placement", hubs[0].Name, by, h.Name, own)
		case own.Said():
			by = own
		}
	}
	return by, nil
}

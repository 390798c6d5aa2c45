package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DNS finds servers by the SRV records of a headless Service, which has a server as soon as it has an
// address. A file that Kubernetes writes has it a minute or two later, and by then the fleet reports to its hub.
type DNS struct {
	scheme, name string
	lookup       func(ctx context.Context, name string) ([]*net.SRV, error)
	known        []Config // of the last answer
}

const (
	lookupTime  = 5 * time.Second
	mostRecords = 2 * mostShards
)

// ParseDNS reads SCHEME://NAME, where NAME has the SRV records.
func ParseDNS(value string) (*DNS, error) {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Port() != "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("%q is not http://NAME or https://NAME, where NAME has SRV records", value)
	}
	return &DNS{scheme: u.Scheme, name: u.Host, lookup: func(ctx context.Context, name string) ([]*net.SRV, error) {
		_, records, err := net.DefaultResolver.LookupSRV(ctx, "", "", name)
		return records, err
	}}, nil
}

// Add returns given, and behind them those that DNS has beside, as of the same kind. While nobody answers they are those
// of the last answer.
func (d *DNS) Add(ctx context.Context, given []Config) ([]Config, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	records, err := d.lookup(ctx, d.name)
	if nobody := (*net.DNSError)(nil); errors.As(err, &nobody) && nobody.IsNotFound {
		records, err = nil, nil
	}
	if err == nil {
		d.known = d.shards(records)
	}
	all := slices.Clone(given)
	for _, one := range d.known {
		if !slices.ContainsFunc(given, func(c Config) bool { return c.Name == one.Name }) {
			one.Kind = given[0].Kind
			all = append(all, one)
		}
	}
	return all, err
}

// numbered is a StatefulSet's pod.
var numbered = regexp.MustCompile(`^[^.]*-([0-9]{1,6})\.`)

// shards are the servers of the records, by the number at the end of their pods' names.
func (d *DNS) shards(records []*net.SRV) []Config {
	by := map[int][]string{}
	for _, record := range records[:min(len(records), mostRecords)] {
		match := numbered.FindStringSubmatch(record.Target)
		if match == nil {
			continue
		}
		n, err := strconv.Atoi(match[1])
		if err != nil {
			continue
		}
		host := net.JoinHostPort(strings.TrimSuffix(record.Target, "."), strconv.Itoa(int(record.Port)))
		by[n] = append(by[n], d.scheme+"://"+host)
	}
	var shards []Config
	for n, servers := range by {
		slices.SortFunc(servers, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
		servers = slices.Compact(servers)
		shards = append(shards, Config{Name: strconv.Itoa(n), Servers: servers[:min(len(servers), 2)]})
	}
	slices.SortFunc(shards, func(a, b Config) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return shards
}

package shard

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the DNS has is added to what is given, by the number of the pod, and stays while the DNS does not answer.
func TestDNSAddsServersByTheirNumber(t *testing.T) {
	d, err := ParseDNS("https://_http._tcp.servers.ns.svc")
	require.NoError(t, err)
	answer := func(err error, hosts ...string) {
		d.lookup = func(_ context.Context, name string) ([]*net.SRV, error) {
			assert.Equal(t, "_http._tcp.servers.ns.svc", name)
			var records []*net.SRV
			for _, host := range hosts {
				records = append(records, &net.SRV{Target: host, Port: 9090})
			}
			return records, err
		}
	}
	given := []Config{{Name: "0", Servers: []string{"http://given:9090"}, Kind: VictoriaMetrics}}
	ten := Config{Name: "10", Servers: []string{"https://p-10.servers.ns.svc:9090", "https://p-b-10.servers.ns.svc:9090"}, Kind: VictoriaMetrics}
	two := Config{Name: "2", Servers: []string{"https://p-2.servers.ns.svc:9090"}, Kind: VictoriaMetrics}

	answer(nil, "p-b-10.servers.ns.svc.", "p-10.servers.ns.svc.", "p-0.servers.ns.svc.", "p-2.servers.ns.svc.", "p-2.servers.ns.svc.", "odd.servers.ns.svc.")
	all, err := d.Add(t.Context(), given)
	require.NoError(t, err)
	assert.Equal(t, []Config{given[0], two, ten}, all)
	require.NoError(t, Check(all))

	answer(errors.New("no answer"))
	all, err = d.Add(t.Context(), given)
	require.Error(t, err)
	assert.Equal(t, []Config{given[0], two, ten}, all)

	answer(&net.DNSError{IsNotFound: true})
	all, err = d.Add(t.Context(), given)
	require.NoError(t, err)
	assert.Equal(t, given, all)
}

func TestParseDNSRefusesWhatIsNoName(t *testing.T) {
	for _, value := range []string{"", "_http._tcp.servers", "ftp://servers", "http://servers:9090", "http://servers/path", "http://"} {
		_, err := ParseDNS(value)
		assert.ErrorContains(t, err, "is not http://NAME", value)
	}
}

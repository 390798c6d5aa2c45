package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub"
)

func TestDefaultsAreTheLibrarys(t *testing.T) {
	o, err := parse(nil)
	require.NoError(t, err)
	assert.False(t, o.pprof)
	assert.False(t, o.twoDoors())
	assert.Equal(t, edgehub.DefaultConfig(), o.hub)
	assert.Equal(t, []string{":9091"}, *o.web.WebListenAddresses)
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{
		"--limit.samples=5", "--limit.body-bytes=2e+07", "--scrape.cursor=a", "--scrape.cursor=b", "--scrape.max-age=30m",
		"--scrape.max-bytes=15000000", "--scrape.listen-address=:1", "--scrape.listen-address=:2", "--scrape.web.config.file=web.yml", "--log.level=debug",
		"--hub.name=edgehub-0:9091",
	})
	require.NoError(t, err)
	assert.Equal(t, 5, o.hub.MaxSamples)
	assert.EqualValues(t, 20_000_000, o.hub.MaxBodyBytes)
	assert.EqualValues(t, 15_000_000, o.hub.MaxScrapeBytes)
	assert.Equal(t, []string{"a", "b"}, o.hub.Cursors)
	assert.Equal(t, 30*time.Minute, o.hub.MaxAge)
	assert.True(t, o.twoDoors())
	assert.Equal(t, []string{":1", ":2"}, *o.scrapeWeb.WebListenAddresses)
	assert.Equal(t, "web.yml", *o.scrapeWeb.WebConfigFile)
	assert.Equal(t, "debug", o.log.Level.String())
	assert.Equal(t, "edgehub-0:9091", o.hub.Name)
}

// One hub of several with the same flags takes groups.
func TestGroupsHubFlag(t *testing.T) {
	takes := func(takes bool, args ...string) {
		t.Helper()
		o, err := parse(args)
		require.NoError(t, err)
		assert.Equal(t, !takes, o.hub.NoPushgateway)
	}
	takes(true)
	takes(false, "--no-pushgateway")
	takes(true, "--pushgateway.hub=edgehub-0:9091", "--hub.name=edgehub-0:9091")
	takes(false, "--pushgateway.hub=edgehub-0:9091", "--hub.name=edgehub-1:9091")
	takes(false, "--pushgateway.hub=edgehub-0:9091", "--hub.name=edgehub-0:9091", "--no-pushgateway")
	_, err := parse([]string{"--pushgateway.hub=edgehub-0:9091"})
	assert.EqualError(t, err, `--pushgateway.hub is "edgehub-0:9091", and this hub has no name; give it one with --hub.name`)
}

func TestGatewayFlags(t *testing.T) {
	o, err := parse([]string{"--gateway.ends-after=0", "--no-gateway.first-samples"})
	require.NoError(t, err)
	assert.Equal(t, -1, o.hub.EndsAfter)
	assert.True(t, o.hub.NoFirstSamples)
	o, err = parse([]string{"--gateway.ends-after=5"})
	require.NoError(t, err)
	assert.Equal(t, 5, o.hub.EndsAfter)
	for _, n := range []string{"1", "-1"} {
		_, err = parse([]string{"--gateway.ends-after=" + n})
		assert.ErrorContains(t, err, "--gateway.ends-after is "+n+", it must be 2 at least")
	}
}

// The library reads 0 as its default. Who writes it means something else.
func TestWhatMustNotBeZero(t *testing.T) {
	f := func(arg, want string) {
		t.Helper()
		_, err := parse([]string{arg})
		assert.EqualError(t, err, want)
	}
	for _, name := range []string{
		"limit.samples", "limit.series", "limit.gateway-series", "limit.table-bytes", "limit.labels", "limit.series-bytes",
		"limit.body-bytes", "limit.bodies-bytes", "limit.pushes", "limit.connections", "scrape.max-samples", "grpc.max-message-bytes",
	} {
		for _, number := range []string{"0", "-7"} {
			_, err := parse([]string{"--" + name + "=" + number})
			assert.ErrorContains(t, err, "--"+name+" is "+number+", it must be more than 0; leave it out for ")
		}
	}
	for _, name := range []string{"limit.header-time", "limit.body-time", "scrape.max-age", "scrape.max-ahead", "series.idle"} {
		_, err := parse([]string{"--" + name + "=0s"})
		assert.ErrorContains(t, err, "--"+name+" is 0s, it must be more than 0; leave it out for ")
	}
	f("--limit.samples=many", `--limit.samples is "many", which is not of the form 4000000`)
	f("--limit.samples=1.5", `--limit.samples is "1.5", which is not of the form 4000000`)
	f("--limit.body-bytes=1e99", `--limit.body-bytes is "1e99", which is not of the form 67108864`)
	f("--scrape.max-age=60", `--scrape.max-age is "60", which is not of the form 1h0m0s`)
	f("--scrape.max-bytes=-1", "--scrape.max-bytes is -1, it must not be negative; 0 is no bound")
	f("--web.stop-timeout=-1s", "--web.stop-timeout is -1s, it must not be negative; 0 stops at once")
	f("--gateway.label=", "--gateway.label is empty; leave it out for gatewayID")
	f("--scrape.cursor=", "a --scrape.cursor is empty; leave it out where there is one scraper")
	f("--scrape.server-config.file=f", "--scrape.server-config.file says how servers are asked, and none is named; name one with --scrape.server")
	f("--grpc.web.config.file=f", "--grpc.web.config.file is for a port that there is not; give it an address with --grpc.listen-address")
	f("--scrape.web.config.file=f", "--scrape.web.config.file is for a second port, which there is not; give it an address with --scrape.listen-address")
}

func TestServers(t *testing.T) {
	parseServers := func(cursors, servers []string) (map[string]edgehub.Server, error) {
		var args []string
		for _, c := range cursors {
			args = append(args, "--scrape.cursor="+c)
		}
		for _, s := range servers {
			args = append(args, "--scrape.server="+s)
		}
		o, err := parse(args)
		return o.hub.Servers, err
	}
	type list = []string
	good := func(cursors, servers list, want map[string]string) {
		t.Helper()
		got, err := parseServers(cursors, servers)
		require.NoError(t, err)
		urls := map[string]string{}
		for cursor, s := range got {
			urls[cursor] = s.URL
		}
		assert.Equal(t, want, urls)
	}
	good(nil, list{"http://p:9090"}, map[string]string{"": "http://p:9090"})
	good(list{"a"}, list{"https://p:9090/prefix"}, map[string]string{"a": "https://p:9090/prefix"})
	good(list{"a"}, list{"a=http://p:9090"}, map[string]string{"a": "http://p:9090"})
	good(list{"a", "b"}, list{"b=http://q", "a=http://p"}, map[string]string{"a": "http://p", "b": "http://q"})
	good(list{"a", "b"}, list{"b=http://q"}, map[string]string{"b": "http://q"})
	good(list{"a", "a=b"}, list{"a=b=http://q", "a=http://p/x=y"}, map[string]string{"a": "http://p/x=y", "a=b": "http://q"})
	good(nil, list{"http://p:9090/x=y"}, map[string]string{"": "http://p:9090/x=y"})

	bad := func(cursors, servers list, want string) {
		t.Helper()
		_, err := parseServers(cursors, servers)
		assert.EqualError(t, err, want)
	}
	bad(nil, list{"localhost:9090"}, `--scrape.server has the URL "localhost:9090", it must be like http://HOST:PORT or https://HOST:PORT`)
	bad(list{"a"}, list{"a=localhost:9090"}, `--scrape.server has the URL "localhost:9090", it must be like http://HOST:PORT or https://HOST:PORT`)
	bad(nil, list{""}, `--scrape.server has the URL "", it must be like http://HOST:PORT or https://HOST:PORT`)
	bad(nil, list{"ftp://me:secret@host"}, `--scrape.server has the URL "ftp://xxxxx@host", it must be like http://HOST:PORT or https://HOST:PORT`)
	bad(nil, list{"me:secret@host"}, `--scrape.server has the URL "xxxxx@host", it must be like http://HOST:PORT or https://HOST:PORT`)
	bad(nil, list{"a=http://p"}, `--scrape.server names the cursor "a", and no cursor has a name; give the URL alone, or the name with --scrape.cursor`)
	bad(list{"a", "b"}, list{"c=http://p"}, `--scrape.server names the cursor "c", which there is not; those of --scrape.cursor are a, b`)
	bad(list{"a", "b"}, list{"http://p"}, `--scrape.server=http://p does not say for which cursor, and there are several (a, b); write NAME=URL`)
	bad(nil, list{"http://p", "http://q"}, "--scrape.server is given twice, and there is one scraper; name the scrapers with --scrape.cursor")
	bad(list{"a", "b"}, list{"a=http://p", "a=http://q"}, `--scrape.server is given twice for the cursor "a"; a cursor has one server`)
	bad(list{"a"}, list{"a=http://p", "http://q"}, `--scrape.server is given twice for the cursor "a"; a cursor has one server`)
}

func TestOTLPFlags(t *testing.T) {
	o, err := parse([]string{
		"--no-otlp", "--otlp.translation-strategy=NoTranslation", "--otlp.promote-resource-attributes=host.name, k8s.pod.name,", "--otlp.promote-scope-metadata",
	})
	require.NoError(t, err)
	assert.True(t, o.hub.NoOTLP)
	assert.Equal(t, "NoTranslation", o.hub.OTLPStrategy)
	assert.Equal(t, []string{"host.name", "k8s.pod.name"}, o.hub.OTLPPromote)
	assert.True(t, o.hub.OTLPScopeMetadata)
}

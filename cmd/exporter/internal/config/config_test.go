package config

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/members"
)

func TestWhole(t *testing.T) {
	c, err := Parse([]byte(`
key_label: site
members:
  dns: {name: _http._tcp.edgehub.monitoring.svc.cluster.local}
  interval: 5s
  hold: 2m
failover: wait_for_owner
receivers: hubs_and_others
labels: {cluster: one}
as_gauges: true
ends: {off: true, delay: 90s}
queue: {max_bytes: 100000000, overflow: drop_oldest}
spool: {dir: /var/lib/exporter, policy: all, max_bytes: 5000000000}
send: {senders: 3, batch_bytes: 100000, batch_wait: 100ms, timeout: 5s, flush_timeout: 20s}
backoff: {min: 100ms, max: 2s, catch_up: 2}
limits: {body_bytes: 1000000, bodies_bytes: 2000000, samples: 10000, pushes: 8, body_time: 10s}
`))
	require.NoError(t, err)
	assert.Equal(t, "site", c.KeyLabel)
	assert.Equal(t, int64(1_000_000), c.Limits.BodyBytes)
	e, err := c.Exporter()
	require.NoError(t, err)
	assert.Equal(t, exporter.Config{
		Members:         members.DNS{Name: "_http._tcp.edgehub.monitoring.svc.cluster.local"},
		MembersInterval: 5 * time.Second, MembersHold: 2 * time.Minute,
		Failover: exporter.WaitForOwner, Receivers: exporter.HubsAndOthers, Labels: map[string]string{"cluster": "one"}, AsGauges: true,
		NoEnds: true, EndsDelay: 90 * time.Second, MaxQueueBytes: 100_000_000, Overflow: exporter.DropOldest,
		SpoolDir: "/var/lib/exporter", SpoolPolicy: exporter.SpoolAll, SpoolBytes: 5_000_000_000,
		Senders: 3, BatchBytes: 100_000, BatchWait: 100 * time.Millisecond, PushTimeout: 5 * time.Second, FlushTimeout: 20 * time.Second,
		MinBackoff: 100 * time.Millisecond, MaxBackoff: 2 * time.Second, CatchUp: 2,
	}, e)
}

func TestShort(t *testing.T) {
	c, err := Parse([]byte("hubs: [{url: 'http://edgehub-0:9091'}, {url: 'http://edgehub-1:9091', weight: 2}]\nplacement_file: moved.json\n"))
	require.NoError(t, err)
	assert.Equal(t, "gatewayID", c.KeyLabel)
	assert.Equal(t, defaults.Limits, c.Limits)
	e, err := c.Exporter()
	require.NoError(t, err)
	assert.Len(t, e.Hubs, 2)
	assert.NotNil(t, e.Inventory)
	assert.Nil(t, e.Transport)
}

// What is in the file of a client is a part of the config, and what is wrong there, too.
func TestHTTPClientFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "http.yml")
	parse := func(client string) (*Config, error) {
		require.NoError(t, os.WriteFile(path, []byte(client), 0o600))
		return Parse([]byte("hubs: [{url: 'http://x:1'}]\nhttp_client_file: " + path))
	}
	one, err := parse("basic_auth: {username: me, password: one}")
	require.NoError(t, err)
	e, err := one.Exporter()
	require.NoError(t, err)
	assert.NotNil(t, e.Transport)
	two, err := parse("basic_auth: {username: me, password: two}")
	require.NoError(t, err)
	assert.NotEqual(t, one, two)
	for client, want := range map[string]string{"basic_auths: {}": "basic_auths", "tls_config: {ca_file: /nowhere}": "/nowhere"} {
		_, err = parse(client)
		require.ErrorContains(t, err, path)
		require.ErrorContains(t, err, want)
	}
}

func TestFaults(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "hubs: name some",
		"hubs: []":                 "hubs: name some",
		"hubs: [{url: 'ftp://x'}]": "ftp",
		"hubs: [{url: 'http://x:1'}]\nunknown: 1":          "line 2: field unknown not found",
		"hubs: [{url: 'http://x:1'}]\nfailover: sometimes": "next_hub",
		"hubs: [{url: 'http://x:1'}]\nkey_label: 'a b'":    "key_label",
		"hubs: [{url: 'http://x:1'}]\nmembers: {file: a}":  "one of them",
		"members: {}":                                               "one of file and dns",
		"members: {file: a, dns: {name: b}}":                        "one of file and dns",
		"hubs: [{url: 'http://x:1'}]\nlimits: {pushes: 0}":          "pushes must be more than 0",
		"hubs: [{url: 'http://x:1'}]\nlimits: {bodies_bytes: 1000}": "twice body_bytes",
		"hubs: [{url: 'http://x:1'}]\nlabels: {gatewayID: x}":       "gatewayID",
		"hubs: [{url: 'http://x:1'}]\nsend: {timeout: fast}":        "fast",
		"hubs: [{url: 'http://x:1'}]\n---\n{}":                      "more than one document",
		"hubs: {":                                                   "line 1",
	} {
		_, err := Parse([]byte(text))
		assert.ErrorContains(t, err, want, text)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exporter.yml")
	_, err := Load(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("hubs: [{url: 'http://x:1'}]"), 0o600))
	_, err = Load(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte("#"+strings.Repeat("x", maxFileBytes)), 0o600))
	_, err = Load(path)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "larger than")
}

// The file in the documents is right, has each field, and says the defaults.
func TestDocumentedFile(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/exporter.md")
	require.NoError(t, err)
	_, block, found := strings.Cut(string(text), "```yaml\n")
	require.True(t, found)
	block, _, _ = strings.Cut(block, "```")
	c, err := Parse([]byte(block))
	require.NoError(t, err)
	want := defaults
	want.Members = &Members{File: "/etc/hubring/hubs.yml", Interval: model.Duration(exporter.DefaultMembersInterval), Hold: model.Duration(exporter.DefaultMembersHold)}
	want.Labels, want.OTLP.Promote = map[string]string{}, []string{}
	want.Ends.Delay = model.Duration(exporter.DefaultEndsDelay)
	want.Queue.MaxBytes = exporter.DefaultMaxQueueBytes
	want.Spool.MaxBytes = exporter.DefaultSpoolBytes
	want.Send = Send{
		Senders: exporter.DefaultSenders, BatchBytes: exporter.DefaultBatchBytes, BatchWait: model.Duration(exporter.DefaultBatchWait),
		Timeout: model.Duration(exporter.DefaultPushTimeout), Flush: model.Duration(exporter.DefaultFlushTimeout),
	}
	want.Backoff = Backoff{Min: model.Duration(exporter.DefaultMinBackoff), Max: model.Duration(exporter.DefaultMaxBackoff), CatchUp: exporter.DefaultCatchUp}
	assert.Equal(t, &want, c)
	for name := range yamlNames(reflect.TypeFor[Config]()) {
		assert.Contains(t, block, name+":", "each field is in the document")
	}
}

// yamlNames are those of a struct's fields, and of the structs in it.
func yamlNames(of reflect.Type) map[string]bool {
	names := map[string]bool{}
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return names
	}
	for i := range of.NumField() {
		if name := of.Field(i).Tag.Get("yaml"); name != "" {
			names[name] = true
			maps.Copy(names, yamlNames(of.Field(i).Type))
		}
	}
	return names
}

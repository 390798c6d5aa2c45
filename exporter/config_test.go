package exporter

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/bubble"
)

func TestDefaults(t *testing.T) {
	c := Config{Hubs: []Hub{{URL: "http://edgehub-0:9091/base/"}, {Name: "b", URL: "https://b", Weight: 1}}}
	require.NoError(t, c.Validate())
	d := c.withDefaults()
	assert.Equal(t, []Hub{{Name: "edgehub-0:9091", URL: "http://edgehub-0:9091/base", Weight: 1}, {Name: "b", URL: "https://b", Weight: 1}}, d.Hubs)
	assert.Equal(t, 64<<20, d.MaxQueueBytes)
	assert.Equal(t, 1<<20, d.BatchBytes)
	assert.Equal(t, 200*time.Millisecond, d.BatchWait)
	assert.Equal(t, 10*time.Second, d.PushTimeout)
	assert.Equal(t, 10*time.Second, d.FlushTimeout)
	assert.Equal(t, 250*time.Millisecond, d.MinBackoff)
	assert.Equal(t, 5*time.Second, d.MaxBackoff)
	assert.NotNil(t, d.Logger)
	assert.Empty(t, c.Hubs[0].Name, "the caller's slice is left alone")
}

// A field that is set moves the defaults that would contradict it.
func TestDefaultsFollow(t *testing.T) {
	hubs := []Hub{{URL: "http://a"}}
	assert.Equal(t, 1000, Config{MaxQueueBytes: 1000}.withDefaults().BatchBytes)
	assert.NoError(t, Config{Hubs: hubs, MaxQueueBytes: 1000}.Validate())
	assert.NoError(t, Config{Hubs: hubs, MinBackoff: time.Minute}.Validate())
	assert.NoError(t, Config{Hubs: hubs, MaxBackoff: time.Millisecond}.Validate())
}

func TestValidateReportsEveryProblem(t *testing.T) {
	problems := func(c Config, want ...string) {
		t.Helper()
		_, err := New(c)
		require.Error(t, err)
		for _, w := range want {
			assert.ErrorContains(t, err, w)
		}
		assert.Equal(t, len(want), strings.Count(err.Error(), "\n")+1, "%v", err)
	}
	hub := func(url string) Config { return Config{Hubs: []Hub{{URL: url}}} }
	problems(Config{}, "Hubs is empty")
	problems(hub(""), "must begin with http")
	problems(hub("edgehub-0:9091"), "must begin with http")
	problems(hub("ftp://h"), "must begin with http")
	problems(hub("http://"), "has no host")
	problems(hub("http://:9091"), "has no host")
	problems(hub("http://h\x7f"), "cannot be parsed")
	problems(hub("http://u:secret@h"), "has a user")
	problems(hub("http://h?a=b"), "has a query")
	problems(hub("http://h#f"), "has a query")
	problems(Config{Hubs: []Hub{{URL: "http://a"}, {URL: "http://a/"}}}, `Hubs[0] and Hubs[1] have the same name "a"`)
	problems(Config{Hubs: []Hub{{URL: "http://a", Name: strings.Repeat("x", 300)}}}, "300 bytes")
	problems(Config{
		Hubs:          []Hub{{URL: "ftp://h"}, {Name: "a", URL: "http://b"}, {Name: "a", URL: "http://c"}},
		MaxQueueBytes: -1, BatchBytes: -1, BatchWait: -1, PushTimeout: -1, FlushTimeout: -1, MinBackoff: -2, MaxBackoff: -1,
	}, "Hubs[0]", "same name", "MaxQueueBytes is -1", "BatchBytes is -1", "BatchWait is -1ns", "PushTimeout is", "FlushTimeout is", "MinBackoff is", "MaxBackoff is")
	problems(Config{Hubs: []Hub{{URL: "http://a"}}, MaxQueueBytes: 10, BatchBytes: 20}, "BatchBytes 20 is larger than MaxQueueBytes 10")
	problems(Config{Hubs: []Hub{{URL: "http://a"}}, Labels: map[string]string{"a-b": "1", "le": ""}}, "Labels: ", `"le" is a part`)
	problems(Config{Hubs: []Hub{{URL: "http://a"}}, MinBackoff: 2, MaxBackoff: 1}, "MinBackoff 2ns is longer")

	_, err := New(hub("http://u:secret@h"))
	assert.NotContains(t, err.Error(), "secret")
}

func TestRegisteringTwiceIsAnError(t *testing.T) {
	reg := prometheus.NewRegistry()
	cfg := Config{Hubs: []Hub{{URL: "http://a"}}, Registerer: reg}
	_, err := New(cfg)
	require.NoError(t, err)
	_, err = New(cfg)
	assert.ErrorContains(t, err, "another exporter uses this Registerer")

	// What a failed New registered is taken back.
	reg = prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hubring_exporter_pushes_total", Help: "Not ours."}, []string{"x"}))
	cfg.Registerer = reg
	_, err = New(cfg)
	require.Error(t, err)
	families, err := reg.Gather()
	require.NoError(t, err)
	assert.Empty(t, families)
}

// A controller that reloads, or leads again, makes another exporter with the same
// Registerer when the one before has ended, whatever either is configured to do.
func TestRegistererIsHandedOver(t *testing.T) {
	registry := prometheus.NewRegistry()
	submitted := func(registerer prometheus.Registerer, samples int, change func(*Config)) {
		t.Helper()
		virtual(t, func(t *testing.T) {
			f := newFleet(1)
			cfg := Config{Hubs: f.hubs(), Transport: f, Registerer: registerer, Logger: slog.New(slog.DiscardHandler)}
			change(&cfg)
			e, err := Start(cfg)
			require.NoError(t, err)
			bubble.Pass(time.Second) // Members are asked
			_, err = New(cfg)
			assert.ErrorContains(t, err, "another exporter uses this Registerer, and its Run has not ended")
			require.NoError(t, e.Submit(context.Background(), reports(1, gateways(samples)...)))
			require.NoError(t, e.Close(context.Background()))
			families, err := registry.Gather()
			require.NoError(t, err)
			assert.Equal(t, samples, countIn(families, "samples_submitted_total"), "of the last one, and it is there after its end")
		})
	}
	as := func(*Config) {}
	submitted(registry, 3, as)
	submitted(registry, 4, func(c *Config) { c.Members, c.Hubs = &scriptedMembers{hubs: c.Hubs}, nil })
	submitted(registry, 5, func(c *Config) { c.SpoolDir = t.TempDir() })
	submitted(registry, 6, as)

	registry = prometheus.NewRegistry()
	labelled := prometheus.WrapRegistererWith(prometheus.Labels{"fleet": "a"}, registry)
	submitted(labelled, 3, as)
	submitted(labelled, 4, as)
}

package charttest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// endpoint is whom a querier asks.
type endpoint struct {
	Address string `json:"address"`
	Strict  bool   `json:"strict"` // asked in any case, so that an answer without it is told
	Group   bool   `json:"group"`  // pods that have the same, of which one is asked
}

// pod returns the name of the one pod that an endpoint is.
func (e endpoint) pod() string {
	name := address.FindStringSubmatch(e.Address)[2]
	return strings.TrimSuffix(name, ".")
}

// endpoints returns whom a querier asks, from its file or its command line.
func (r *release) endpoints(t *testing.T, p pod, c *corev1.Container) []endpoint {
	t.Helper()
	args := p.commandLine(c)
	text := []byte(flagValue(t, args, "endpoint.sd-config", ""))
	if file := flagValue(t, args, "endpoint.sd-config-file", ""); file != "" {
		var err error
		text, err = os.ReadFile(filepath.Join(r.files(t, p, c), file))
		require.NoError(t, err)
	}
	var config struct {
		Endpoints []endpoint `json:"endpoints"`
	}
	require.NoError(t, yaml.UnmarshalStrict(text, &config), "%s: %s", p.name, text)
	require.NotEmpty(t, config.Endpoints, p.name)
	return config.Endpoints
}

// queriers returns a pod of each kind that asks others, by its container's name.
func (r *release) queriers() map[string]pod {
	all := map[string]pod{}
	for _, name := range []string{"thanos-query", "thanos-query-shard", "thanos-query-global", "thanos-query-archive"} {
		if pods := r.pods(name); len(pods) > 0 {
			all[name] = pods[0]
		}
	}
	return all
}

// All whom queriers ask are asked in any case: Thanos leaves others out when they are down, and tells nobody. That
// needs a name for each, and what is asked as a group is pods that all have the same.
func TestQueriersForgetNobody(t *testing.T) {
	inEveryGlobalScenario(t, func(t *testing.T, r *release) {
		queriers := r.queriers()
		for name, p := range queriers {
			args := p.commandLine(p.container(name))
			assert.Empty(t, flagValues(args, "endpoint"), "%s: those are not strict", name)
			for _, e := range r.endpoints(t, p, p.container(name)) {
				assert.True(t, e.Strict, "%s: %s", name, e.Address)
				service := address.FindStringSubmatch(e.Address)[3]
				same := strings.HasSuffix(service, "-thanos-store") || strings.HasSuffix(service, "-thanos-query-global")
				assert.Equal(t, same, e.Group, "%s: %s", name, e.Address)
				assert.Equal(t, e.Group, e.pod() == "", "%s: %s", name, e.Address)
			}
		}
	})
}

// The querier asks the sidecar of every server, or every shard's querier, once each, and every ruler is asked once.
func TestQuerierAsksEveryServer(t *testing.T) {
	inEveryThanosScenario(t, func(t *testing.T, r *release) {
		queriers := r.queriers()
		var asked []string
		for name, p := range queriers {
			if name == "thanos-query-shard" {
				continue // see distributed_test.go
			}
			for _, e := range r.endpoints(t, p, p.container(name)) {
				if !e.Group {
					asked = append(asked, e.pod())
				}
			}
		}
		want := podsOf(r.pods("thanos-rule"))
		if _, there := queriers["thanos-query-shard"]; there {
			want = append(want, podsOf(r.pods("thanos-query-shard"))...)
		} else {
			for _, s := range r.servers(t) {
				want = append(want, s.name)
			}
		}
		assert.ElementsMatch(t, want, asked)
	})
}

func podsOf(pods []pod) []string {
	var names []string
	for _, p := range pods {
		names = append(names, p.name)
	}
	return names
}

// The querier reads whom to ask again by itself: when their number changes its pods stay.
func TestQuerierNoticesAnotherNumber(t *testing.T) {
	three, five := mustRender(t, fiveShards, withQuerier, `{prometheus_servers_count: 3}`), mustRender(t, fiveShards, withQuerier)
	template := func(r *release) corev1.PodTemplateSpec { return r.queriers()["thanos-query"].template }
	assert.Equal(t, template(three), template(five))
	before, after := three.queriers()["thanos-query"], five.queriers()["thanos-query"]
	has, gets := three.endpoints(t, before, before.container("thanos-query")), five.endpoints(t, after, after.container("thanos-query"))
	assert.Len(t, gets, len(has)+2)
	for _, e := range has {
		assert.True(t, slices.Contains(gets, e), e.Address)
	}
	args := before.commandLine(before.container("thanos-query"))
	assert.Equal(t, "5s", flagValue(t, args, "endpoint.sd-config-reload-interval", "5m"))
}

// isDown returns an error unless a querier has found out that it does not reach a server. From then on Thanos
// asks it only if it is strict.
func isDown(ctx context.Context, querier, server string) error {
	body, err := get(ctx, "http://"+querier+"/api/v1/stores")
	if err != nil {
		return err
	}
	var stores struct {
		Data map[string][]struct {
			Name      string `json:"name"`
			LastError any    `json:"lastError"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &stores); err != nil {
		return fmt.Errorf("read the querier's servers: %w", err)
	}
	for _, all := range stores.Data {
		for _, one := range all {
			if strings.HasPrefix(one.Name, server) && one.LastError != nil {
				return nil
			}
		}
	}
	return fmt.Errorf("%s is up: %s", server, body)
}

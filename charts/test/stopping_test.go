package charttest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// stopTimeout returns how long a hub waits for its last scrape.
func (h hub) stopTimeout(t *testing.T) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(flagValue(t, h.args, "web.stop-timeout", ""))
	require.NoError(t, err)
	return d
}

// scrapeTime returns how much of that it waits before it hands over to another hub.
func (h hub) scrapeTime(t *testing.T) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(flagValue(t, h.args, "handover.after", flagValue(t, h.args, "web.stop-timeout", "")))
	require.NoError(t, err)
	return d
}

// grace returns how long the pods of a workload have after they were told to stop.
func (w workload) grace(t *testing.T) time.Duration {
	t.Helper()
	seconds := w.template.Spec.TerminationGracePeriodSeconds
	require.NotNil(t, seconds, "%s: terminationGracePeriodSeconds", keyOf(w))
	return time.Duration(*seconds) * time.Second
}

// sleepBefore returns how long a container is left alone when its pod stops.
func sleepBefore(c *corev1.Container) time.Duration {
	if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil {
		return 0
	}
	return time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
}

// A hub that stops waits until a scrape has begun and ended, and Kubernetes lets it.
func TestHubsHaveTimeForALastScrape(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		global := r.servers(t)[0].Global
		for _, h := range r.hubs(t) {
			assert.Greater(t, h.scrapeTime(t), time.Duration(global.ScrapeInterval+global.ScrapeTimeout), "--handover.after")
			assert.Greater(t, h.grace(t), h.stopTimeout(t), "terminationGracePeriodSeconds")
		}
	})
	for _, c := range []struct {
		name, values string
		want         time.Duration
	}{
		{"the defaults", `{}`, 34 * time.Second},
		{"a slow pace", `{prometheus: {scrapeInterval: 1m30s, scrapeTimeout: 40s, gatewaysInterval: 2m}}`, 135 * time.Second},
		{"a time of one's own", `{edgehub: {stopTimeout: 300}}`, 5 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := mustRender(t, c.values).hubs(t)[0]
			assert.Equal(t, c.want, h.scrapeTime(t))
			assert.Equal(t, c.want+time.Minute, h.stopTimeout(t), "with what it takes to hand over")
		})
	}
}

// A hub hands over to hubs that stay, where its volume goes with its pod, and to nobody where it does not.
func TestHubsHandOver(t *testing.T) {
	to := func(values ...string) (to []string) {
		for _, arg := range mustRender(t, values...).hubs(t)[0].args {
			if url, is := strings.CutPrefix(arg, "--handover.to="); is {
				to = append(to, url)
			}
		}
		return to
	}
	hubs := []string{"http://edge-hubring-edgehub-0.edge-hubring-edgehub.metrics.svc.cluster.local:9091", "http://edge-hubring-edgehub-1.edge-hubring-edgehub.metrics.svc.cluster.local:9091"}
	assert.Equal(t, hubs, to(`{}`))
	assert.Equal(t, hubs, to(fiveShards))
	assert.Equal(t, hubs, to(`{edgehub: {storage: {enabled: false}, persistence: {enabled: true}}}`))
	assert.Empty(t, to(`{edgehub: {persistence: {enabled: true}}}`))
	assert.Empty(t, to(`{edgehub: {handover: {enabled: false}}}`))
	stays := mustRender(t, `{edgehub: {persistence: {enabled: true}}}`).hubs(t)[0]
	assert.Equal(t, 34*time.Second, stays.stopTimeout(t))
	assert.Equal(t, stays.scrapeTime(t)+10*time.Second, stays.grace(t))
}

// When a hub and its Prometheus are told to stop at the same moment, Prometheus goes on for as
// long as the hub does, and queries go on, too. It then has the time that it takes to stop.
func TestServersOutliveTheirHub(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		for _, s := range r.servers(t) {
			sleep := sleepBefore(s.server())
			if len(s.claims) == 0 { // what it took would be gone with it
				assert.Zero(t, sleep, s.name)
				continue
			}
			for _, h := range r.hubs(t) {
				assert.GreaterOrEqual(t, sleep, h.scrapeTime(t), "%s: preStop", s.name)
			}
			assert.Equal(t, 300*time.Second, s.grace(t)-sleep, "%s: what is left of terminationGracePeriodSeconds", s.name)
			for _, c := range s.template.Spec.Containers {
				assert.Equal(t, sleep, sleepBefore(&c), "%s: container %s stops with the others", s.name, c.Name)
			}
		}
	})
	remote := mustRender(t, `{prometheus: {persistence: {enabled: false}, remoteWrite: [{url: "http://mimir:9009/api/v1/push"}]}}`)
	assert.Positive(t, sleepBefore(remote.servers(t)[0].server()), "what it took is written elsewhere")
}

// Pods that stop keep their names, by which a hub is scraped and a sidecar is queried to the end.
func TestNamesOutliveReadiness(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		for _, p := range slices.Concat(r.pods("edgehub"), r.pods("prometheus"), r.pods("victoriametrics")) {
			service := find[*corev1.Service](r, p.service)
			require.NotNil(t, service)
			assert.True(t, service.Spec.PublishNotReadyAddresses, "Service %s", service.Name)
		}
	})
}

// An upgrade takes a hub only when the exporters had time to find the one before.
func TestHubsComeBackOneByOne(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		for _, h := range r.hubs(t) {
			set := find[*appsv1.StatefulSet](r, h.GetName())
			require.NotNil(t, set)
			assert.Greater(t, set.Spec.MinReadySeconds, int32(5), "exporters ask a hub that is down every 5 s at most")
			assert.Equal(t, appsv1.RollingUpdateStatefulSetStrategyType, set.Spec.UpdateStrategy.Type)
		}
	})
}

// An upgrade tells both servers of a pair to stop at the same moment. The second goes on for longer, so that
// queries have one of them.
func TestServersOfAPairStopOneAfterTheOther(t *testing.T) {
	apart := func(values ...string) time.Duration {
		r := mustRender(t, append([]string{`{prometheus_replicas: 2}`}, values...)...)
		servers := r.servers(t)
		first, second := servers[0], servers[len(servers)-1]
		require.Equal(t, [2]string{"a", "b"}, [2]string{first.template.Labels["prometheus-replica"], second.template.Labels["prometheus-replica"]})
		longer := sleepBefore(second.server()) - sleepBefore(first.server())
		assert.Equal(t, longer, second.grace(t)-first.grace(t))
		return longer
	}
	assert.Equal(t, 3*time.Minute, apart())
	assert.Equal(t, 5*time.Minute, apart(`{prometheus: {secondStopDelay: 300}}`))
	assert.Equal(t, 3*time.Minute, apart(fiveShards))
	assert.Equal(t, 3*time.Minute, apart(`{prometheus: {persistence: {enabled: false}}}`))
	assert.Zero(t, apart(`{prometheus: {secondStopDelay: 0}}`))
}

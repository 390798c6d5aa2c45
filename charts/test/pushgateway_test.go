package charttest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const withGroups = `{edgehub: {pushgateway: {enabled: true}}}`

// What is pushed to groups is pushed to one hub, or each of several would give it to its server.
func TestOneHubTakesGroups(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, s scenario, _ *release) {
		r := mustRender(t, s.values, withGroups)
		hubs := r.hubs(t)
		service := find[*corev1.Service](r, strings.TrimSuffix(hubs[0].GetName(), "edgehub")+"pushgateway")
		require.NotNil(t, service)
		assert.Equal(t, []string{keyOf(hubs[0].workload)}, keysOf(r.behind(service)))
		assert.Equal(t, []int{0}, hubs[0].podsBehind(service))
		for i, h := range hubs {
			takes := flagValue(t, h.args, "pushgateway.hub", "") == flagValue(t, h.args, "hub.name", "")
			assert.Equal(t, i == 0, takes, "%s takes groups", h.name)
			assert.NotContains(t, h.args, "--no-pushgateway")
		}
	})
	r := mustRender(t, fiveShards)
	assert.Contains(t, r.hubs(t)[0].args, "--no-pushgateway", "by default none does")
	for _, service := range every[*corev1.Service](r) {
		assert.NotContains(t, service.Name, "pushgateway")
	}
}

// Another number of hubs restarts none, and groups stay where they are.
func TestScalingLeavesGroupsAlone(t *testing.T) {
	few, many := mustRender(t, fiveShards, withGroups, `{prometheus_servers_count: 3}`), mustRender(t, fiveShards, withGroups)
	assert.Equal(t, few.hubs(t)[0].args, many.hubs(t)[0].args)
}

// A monitor finds a hub by the hubs' own Service, and not a second time by that of groups.
func TestGroupsServiceIsNotMonitored(t *testing.T) {
	r := mustRender(t, withGroups, `{serviceMonitor: {enabled: true}}`, `{edgehub: {separateScrapePort: false}}`)
	selected := 0
	for _, m := range r.serviceMonitors(t) {
		for _, service := range every[*corev1.Service](r) {
			if matches(t, &m.Spec.Selector, labels.Set(service.Labels)) {
				selected++
			}
		}
	}
	assert.Equal(t, 1, selected)
}

// Who pushes to groups reaches the hub that takes them, at the port for pushes.
func TestPoliciesLetGroupsIn(t *testing.T) {
	r := mustRender(t, fiveShards, withPolicies, withGroups, `{networkPolicy: {groupPushers: [{podSelector: {matchLabels: {is: job}}}]}}`)
	hub, job := keyOf(r.hubs(t)[0].workload), client{"job", labels.Set{"is": "job"}}
	for number := range 5 {
		assert.Equal(t, number == 0, r.allows(t, job, port{hub, "http"}, number), "edgehub-%d", number)
		assert.False(t, r.allows(t, job, port{hub, "http-scrape"}, number), "edgehub-%d", number)
	}
	for _, to := range r.ports() {
		if to.workload != hub {
			assert.False(t, r.allows(t, job, to, 0), to)
		}
	}
}

// The first of two hubs takes a push to a group, and the other one refuses it with a status that no client takes for success.
func TestHubsTakeGroupsAsTheyAreTold(t *testing.T) {
	r := mustRender(t, `{prometheus_servers_count: 2, query: {enabled: true}}`, withGroups)
	c := newCluster(t, r)
	for i, want := range []int{http.StatusOK, http.StatusNotFound} {
		h := r.hubs(t)[i]
		c.startReady(h.name, "edgehub")
		assert.Equal(t, want, pushToGroup(t, c.address(h.name, 9091)), h.name)
	}
}

// pushToGroup returns the status of the answer to a push.
func pushToGroup(t *testing.T, address string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("http://%s/metrics/job/backup", address), strings.NewReader("backup_rows 1\n"))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

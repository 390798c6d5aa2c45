package charttest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An alert of the real Prometheus links to where browsers reach it, while its probes, and whoever else asks
// within the cluster, find it where it always is.
func TestLinksOfAlertsLeadOutside(t *testing.T) {
	links := make(chan string, 1)
	alertmanager := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var alerts []struct {
			GeneratorURL string `json:"generatorURL"`
		}
		if !assert.NoError(t, json.NewDecoder(r.Body).Decode(&alerts)) || !assert.NotEmpty(t, alerts) {
			return
		}
		select {
		case links <- alerts[0].GeneratorURL:
		default: // told already
		}
	}))
	defer alertmanager.Close()
	// The first alert may come before Prometheus knows its Alertmanagers, and is sent anew after a minute only.
	c := newCluster(t, mustRender(t, `
prometheus: {externalURL: "https://metrics.example.org/$(POD_NAME)", evaluationInterval: 1s, extraArgs: [--rules.alert.resend-delay=1s]}
alertmanager: {existingURLs: ["`+alertmanager.URL+`"]}
rules: {builtin: false, groups: [{name: g, rules: [{alert: Always, expr: vector(1)}]}]}`))
	c.startReady("edge-hubring-prometheus-0", "prometheus")
	select {
	case link := <-links:
		assert.Contains(t, link, "https://metrics.example.org/edge-hubring-prometheus-0/graph?")
	case <-time.After(patience):
		require.Fail(t, "no alert", "after %s", patience)
	}
}

// The chart's Alertmanagers get their own address, and flags that the chart does not know.
func TestAlertmanagersFlags(t *testing.T) {
	r := mustRender(t, `{alertmanager: {enabled: true, externalURL: "https://alerts.example.org", extraArgs: [--alerts.gc-interval=10m]}}`)
	args := r.pods("alertmanager")[0].container("alertmanager").Args
	assert.Equal(t, []string{"https://alerts.example.org"}, flagValues(args, "web.external-url"))
	assert.Equal(t, []string{"/"}, flagValues(args, "web.route-prefix"))
	assert.Equal(t, "--alerts.gc-interval=10m", args[len(args)-1])
	plain := mustRender(t, `{alertmanager: {enabled: true}}`)
	assert.Empty(t, flagValues(plain.pods("alertmanager")[0].container("alertmanager").Args, "web.route-prefix"))
}

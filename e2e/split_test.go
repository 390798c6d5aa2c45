package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// splitScrape is the job of a server that scrapes a hub in ten parts, each a
// target of its own. Their instance labels tell them apart; like those of whole
// hubs they are taken off the samples.
const splitScrape = `
  - job_name: edgehub
    honor_labels: true
    honor_timestamps: true
    scrape_interval: 15s
    params: {parts: ["10"]}
    static_configs:
      - targets: ["edgehub-0:9091#1", "edgehub-0:9091#2", "edgehub-0:9091#3", "edgehub-0:9091#4", "edgehub-0:9091#5",
                  "edgehub-0:9091#6", "edgehub-0:9091#7", "edgehub-0:9091#8", "edgehub-0:9091#9", "edgehub-0:9091#10"]
    relabel_configs:
      - {source_labels: [__address__], target_label: instance}
      - {source_labels: [__address__], regex: ".+#(.+)", target_label: __param_part}
      - {source_labels: [__address__], regex: "(.+)#.+", target_label: __address__}
    metric_relabel_configs:
      - {source_labels: [instance], regex: "edgehub-0:9091#.+", target_label: instance, replacement: ""}
      - {source_labels: [job], regex: edgehub, target_label: job, replacement: ""}
`

// A server that scrapes its hub in ten parts gets every sample once, under the
// name that it has without parts, and each part has its own up.
func TestSplitScrape(t *testing.T) {
	t.Parallel()
	s, hub := oneHub(t)
	server := startServer(t, s, stack.ServerConfig{Name: "split"}, splitScrape)
	f := startFleet(t, s, hubs(s), fleetConfig{name: "split", gateways: 4, controllers: 1})
	f.awaitReports(t, 4)
	require.NoError(t, f.stop())

	samples := requireFleet(t, f, server)
	awaitDrained(t, hub)
	require.Equal(t, samples, ownMetricNow(t, hub, "edgehub_samples_scraped_total", nil), "the parts overlap")
	require.Equal(t, 1, ownMetricNow(t, hub, "edgehub_scrape_resplits_total", nil))
	client := promapi.New(server.Address)
	requireEachUp(t, client, 10)
	shares, err := client.By(t.Context(), "instance", `sum_over_time(scrape_samples_scraped[10m])`)
	require.NoError(t, err)
	require.Len(t, shares, 10)
	for part, share := range shares {
		require.InDelta(t, samples/10, share, float64(samples)/20, "the share of %s in %d samples", part, samples)
	}
}

// pairScrape is the job of one server of a pair; the other one's cursor is b.
const pairScrape = `
  - job_name: edgehub
    honor_labels: true
    honor_timestamps: true
    scrape_interval: 15s
    params: {cursor: [a]}
    static_configs: [{targets: ["edgehub-0:9091"]}]
    metric_relabel_configs:
      - {source_labels: [instance], regex: "edgehub-0:9091", target_label: instance, replacement: ""}
      - {source_labels: [job], regex: edgehub, target_label: job, replacement: ""}
`

// Each server of a pair gets every sample, also where one of them is down for a
// while: the other one does not notice.
func TestPair(t *testing.T) {
	t.Parallel()
	s, hub := oneHub(t, "--scrape.cursor=a", "--scrape.cursor=b")
	a := startServer(t, s, stack.ServerConfig{Name: "a"}, pairScrape)
	b := startServer(t, s, stack.ServerConfig{Name: "b"}, replace(t, pairScrape, "cursor: [a]", "cursor: [b]"))
	f := startFleet(t, s, hubs(s), fleetConfig{name: "pair", gateways: 3, controllers: 1})
	f.awaitReports(t, 3)
	b.Kill()
	f.awaitReports(t, 6)
	require.NoError(t, f.stop())
	samples := requireFleet(t, f, a)

	require.NoError(t, b.Restart(t.Context()))
	require.Equal(t, samples, requireFleet(t, f, b))
	awaitDrained(t, hub)
	for _, cursor := range []string{"a", "b"} {
		require.Equal(t, samples, ownMetricNow(t, hub, "edgehub_samples_scraped_total", map[string]string{"cursor": cursor}))
	}
	requireUp(t, promapi.New(a.Address))
	requireUp(t, promapi.New(b.Address))
}

package dashboard

// GatewayLabel is the label that names a gateway. The chart replaces it by edgehub.gatewayLabel.
const GatewayLabel = "gatewayID"

// What a hub's /gateways says. These two small metrics are the only ones that are asked for by gateway: whatever selects all
// series of the gateways would make every query server read its whole index.
const (
	// A gateway may send metrics of any name, and a job and an instance of its own. Those of the servers have no gateway.
	notGateways = GatewayLabel + `=""`

	lastPush      = "max by (" + GatewayLabel + ", instance) (edgehub_gateway_last_push_timestamp_seconds{" + GatewayLabel + "=~\"$gateway\"})"
	gatewaySeries = "max by (" + GatewayLabel + ", instance) (edgehub_gateway_series{" + GatewayLabel + "=~\"$gateway\"})"
	// A gateway that moved is on two hubs until the old one forgets it; the later time is right.
	heard = "max by (" + GatewayLabel + ") (edgehub_gateway_last_push_timestamp_seconds{" + GatewayLabel + "=~\"$gateway\"})"
	// A hub forgets a gateway after an hour (--series.idle), so what it said before counts, too.
	everHeard     = "last_over_time(edgehub_gateway_last_push_timestamp_seconds{" + GatewayLabel + "=~\"$gateway\"}[6h])"
	lastHeard     = "max by (" + GatewayLabel + ") (" + everHeard + ")"
	lastHeardByIt = "max by (" + GatewayLabel + ", instance) (" + everHeard + ")"
	// The last 200 pairs of gateway and hub that heard from each other, or fewer if fewer are chosen.
	chosen = "topk(200, " + lastPush + ")"

	received  = "sum by (instance) (rate(edgehub_samples_received_total[$__rate_interval]))"
	imbalance = "max(" + received + ") / avg(" + received + ")"
	// The chart's rules say how many servers there should be; without Thanos there are as many as are known.
	servers = `max(hubring:prometheus_servers:expected) or count(up{job="prometheus",` + notGateways + `})`
)

func fleet() Dashboard {
	gateways := choice("gateway", "Gateway", "edgehub_gateway_last_push_timestamp_seconds", GatewayLabel)
	silent := durations("silent", "Silent after", "5 min", "300", "2 min", "120", "15 min", "900", "30 min", "1800")
	return board("hubring-fleet", "Hubring / Fleet",
		"Gateways and the hubs that they report to. What a query here reads grows with the number of gateways, not of their series.",
		"now-3h", []Variable{gateways, silent},
		row{title: "Now", panels: []Panel{
			stat(4, "Gateways reporting", "short", "Gateways that a hub has heard from within the time chosen above.",
				query{"count(" + heard + " > time() - $silent) or vector(0)", "reporting"}),
			stat(4, "Silent gateways", "short", "Gateways that were heard from in the last 6 hours, but not within the time chosen above. The table below names them.",
				query{"count(" + lastHeard + " < time() - $silent) or vector(0)", "silent"}).from(1, "orange"),
			stat(6, "Shards up", "short", "Hubs that a Prometheus server reaches, Prometheus servers that answer, and how many of these there should be.",
				query{`count(max by (instance) (up{job="edgehub-internal",` + notGateways + `}) == 1) or vector(0)`, "hubs"},
				query{`count(up{job="prometheus",` + notGateways + `} == 1) or vector(0)`, "servers"},
				query{servers, "expected"}),
			stat(4, "Samples received", "cps", "Samples a second that hubs take in.",
				query{"sum(rate(edgehub_samples_received_total[$__rate_interval]))", "samples"}),
			stat(3, "Imbalance", "percentunit", "What the busiest hub gets beyond the average. The alert HubringShardsUneven fires above 25 %.",
				query{imbalance + " - 1", "above average"}).from(0.25, "orange"),
			stat(3, "Alerts firing", "short", "Alerts of all rules that this data source has.",
				query{"count(ALERTS{alertstate=\"firing\"}) or vector(0)", "firing"}).from(1, "red"),
		}},
		row{title: "What is wrong", panels: []Panel{
			table(12, "Alerts firing", "Each alert that fires, with the hub or server that it is about.",
				[]column{{"alertname", "Alert", ""}, {"severity", "Severity", ""}, {"instance", "Instance", ""}, {"hub", "Hub", ""}, {"Value", "Alerts", "short"}},
				query{"count by (alertname, severity, instance, hub) (ALERTS{alertstate=\"firing\"})", ""}),
			table(12, "Silent gateways", "The 200 that have been silent for the shortest time are shown, since those that fell silent together have one cause. Last heard is when the hub last took a push of theirs.",
				[]column{{GatewayLabel, "Gateway", ""}, {"instance", "Hub", ""}, {"Value", "Last heard", "dateTimeFromNow"}},
				query{"1000 * topk(200, (" + lastHeardByIt + " == on (" + GatewayLabel + ") group_left () " + lastHeard + ") < time() - $silent)", ""}),
		}},
		row{title: "Hubs", panels: []Panel{
			graph(8, "Samples received by hub", "cps", "", query{received, "{{instance}}"}),
			graph(8, "Gateways by hub", "short", "Gateways that each hub has heard from within the time chosen above. A gateway that fails over leaves one line and joins another.",
				query{"count by (instance) (" + lastPush + " > time() - $silent)", "{{instance}}"}),
			graph(8, "Imbalance", "percentunit", "The busiest hub's samples, as a part of the average's. 100 % is even.",
				query{imbalance, "busiest hub"}).from(1.25, "orange"),
			graph(8, "Series by hub", "short", "Series that each hub knows. A gateway that moved is on both until an hour after its last push to the old one.",
				query{"sum by (instance) (edgehub_series)", "{{instance}}"}),
			graph(8, "Samples that wait, by hub", "short", "Samples that were taken in and not yet scraped. Of a working hub it is what comes in a scrape interval.",
				query{"sum by (instance) (edgehub_pending_samples)", "{{instance}}"}),
			graph(8, "Pushes refused, by hub", "reqps", "Exporters keep what is refused and try again, or go to another hub. The dashboard Hubring / Hubs has the reasons.",
				query{"sum by (instance) (rate(edgehub_pushes_rejected_total[$__rate_interval]))", "{{instance}}"}),
		}},
		row{title: "Largest gateways", panels: []Panel{
			bars(12, "Series by gateway, the 20 largest", "short", "Series that a hub knows of each gateway, of those that are chosen above. A hub refuses more than edgehub.limitGatewaySeries.",
				query{"topk(20, max by (" + GatewayLabel + ") (" + gatewaySeries + "))", "{{" + GatewayLabel + "}}"}),
			graph(12, "Series of gateways", "short", "All gateways' series, how many an average one has, and how many the largest one has.",
				query{"sum(max by (" + GatewayLabel + ") (" + gatewaySeries + "))", "all"},
				query{"avg(max by (" + GatewayLabel + ") (" + gatewaySeries + "))", "average"},
				query{"max(" + gatewaySeries + ")", "largest"}),
		}},
		row{title: "Chosen gateways", panels: []Panel{
			table(12, "Where they are", "Hubs that know each gateway, two for a while after a move; the one with the later time has it. At most 200 lines: choose gateways above.",
				[]column{{GatewayLabel, "Gateway", ""}, {"instance", "Hub", ""}, {"Value #A", "Last heard", "dateTimeFromNow"}, {"Value #B", "Series", "short"}},
				query{"1000 * " + chosen, ""},
				query{gatewaySeries + " and on (" + GatewayLabel + ", instance) " + chosen, ""}),
			graph(12, "How long ago they were heard, the 10 longest", "s", "A gateway that reports draws a saw whose teeth are the interval at which this list is scraped, a minute.",
				query{"topk(10, time() - " + heard + ")", "{{" + GatewayLabel + "}}"}),
		}},
	)
}

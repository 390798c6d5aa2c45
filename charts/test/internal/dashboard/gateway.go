package dashboard

// ofGateway names the gateway. Every query of its dashboard has it, so that one shard's server does the work.
const ofGateway = GatewayLabel + `="$gateway"`

const (
	itsLastPush = "edgehub_gateway_last_push_timestamp_seconds{" + ofGateway + "}"
	itsMetric   = `{"$metric",` + ofGateway + "}"
)

func gateway() Dashboard {
	return board("hubring-gateway", "Hubring / Gateway",
		"One gateway: where it reports, its alerts, and any of its metrics. Each query names it, so that one shard's server has the work.",
		"now-6h", []Variable{
			choice("gateway", "Gateway", "edgehub_gateway_last_push_timestamp_seconds", GatewayLabel).one(),
			choice("metric", "Metric", "{"+ofGateway+"}", "__name__").one(),
		},
		row{title: "Where it reports", panels: []Panel{
			stat(4, "Last heard", "s", "How long ago a hub took a push of it, by a list that is scraped every minute.",
				query{"time() - max(" + itsLastPush + ")", "ago"}).from(300, "red"),
			stat(4, "Series", "short", "Series that its hub knows of it. A hub refuses more than edgehub.limitGatewaySeries.",
				query{"max(edgehub_gateway_series{" + ofGateway + "})", "series"}),
			graph(8, "Hubs that hear from it", "s", "How long ago each last did. After a move there are two lines for a while, of which one rises.",
				query{"time() - max by (instance) (" + itsLastPush + ")", "{{instance}}"}),
			table(8, "Alerts firing", "Alerts of all rules that have its label.",
				[]column{{"alertname", "Alert", ""}, {"severity", "Severity", ""}, {"Value", "Alerts", "short"}},
				query{"count by (alertname, severity) (ALERTS{alertstate=\"firing\"," + ofGateway + "})", ""}),
		}},
		row{title: "The metric that is chosen above", panels: []Panel{
			graph(12, "Its values", "short", "As the gateway reported them.", query{itsMetric, "{{__name__}}"}).fromAnywhere(),
			graph(12, "Its growth a second", "short", "For a metric that only grows.", query{"rate(" + itsMetric + "[$__rate_interval])", "growth"}),
		}},
	)
}

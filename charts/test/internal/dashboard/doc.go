// Package dashboard writes the chart's Grafana dashboards.
//
// A dashboard's JSON is some thousand lines of which an author means a hundred: titles, queries, units.
// Those are here; ids, places and Grafana's defaults are filled in. What is in the chart is the
// JSON, so that Helm and people who import it by hand need nothing else, and a test compares. After a change:
//
//	go test ./internal/dashboard -update
//
// # Map
//
//	model.go     Grafana's JSON, as far as it is used
//	panel.go     kinds of panels and variables
//	layout.go    rows, places and ids
//	fleet.go     gateways, over all hubs
//	hubs.go      hubs, their Prometheus servers, the ruler, Thanos
//	queries.go   who answers for all servers
//	gateway.go   one gateway, by one shard's work
//	exporter.go  the exporters in the controllers
package dashboard

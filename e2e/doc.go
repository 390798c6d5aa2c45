// Package e2e is the end-to-end suite: the whole path from a controller's
// Submit to a PromQL answer, with real programs at both ends.
//
//	node exporters ┐            ┌► edgehub-0 ◄─ prometheus-0 ◄─ sidecar-0 ┐
//	               ├► exporter ─┼► edgehub-1 ◄─ prometheus-1 ◄─ sidecar-1 ┼─ thanos query
//	prometheus 0-2 ┘  (in test) └► edgehub-2 ◄─ prometheus-2 ◄─ sidecar-2 ┘
//
// The test is the controller: it collects the metrics of real exporters as the
// reports of a dozen gateways, stamps them, writes them into a ledger and
// submits them. What the shards hold is then compared with the ledger, sample
// by sample, and what the querier answers with what the shards hold.
//
// # Running it
//
// From the root of the repository, with nothing installed but Go:
//
//	go run ./e2e/cmd/realbin      # once: builds the real programs, 5 to 10 minutes
//	go test -count=1 ./e2e/...    # 4 to 5 minutes
//
// The tests build the programs themselves if they are missing; then give them
// the time: go test -timeout 30m. With -short everything that needs a program
// is left out, and with -race the hubs are built with the race detector as
// well. Without -count=1 go test may answer from its cache, which cannot see
// that cmd/edgehub has changed.
//
// # What is built
//
//	prometheus, promtool  3.15.0   e2e/tools/prometheus
//	prometheus-2.53       2.53.1   e2e/tools/prometheus253
//	thanos                0.42.4   e2e/tools/thanos
//	node_exporter         1.12.1   e2e/tools/nodeexporter
//	edgehub, hubquery              the checkout, anew in every run
//
// and for the tests of scrapers, when they ask for them, beside vmagent 1.110.0:
//
//	vmagent-1.151  1.151.0   e2e/tools/vmagent151
//	otelcol        0.165.1   e2e/tools/otelcol
//	telegraf       1.39.0    e2e/tools/telegraf
//	haproxy, nginx Debian's; the tests of what fails have mkfs.ext4 from there, too
//
// and for the benchmark:
//
//	prometheus-edge-hub         1.1.0     e2e/tools/prometheusedgehub
//	pushgateway                 1.11.3    e2e/tools/pushgateway
//	victoria-metrics, vmagent   1.110.0   e2e/tools/victoriametrics
//
// and for that of queries:
//
//	victoria-metrics-1.151      1.151.0   e2e/tools/victoriametrics151
//
// All but the hub are pinned by the go.mod and go.sum files of those small
// modules and kept in the user's cache folder (hubring-e2e) under a hash of
// them; a change of one builds anew, and what nobody used for a day is removed.
//
// # Map
//
//	onehome_test.go   every gateway has one home, whoever sends
//	values_test.go    values and timestamps are those submitted
//	killhub_test.go   a hub dies under load and comes back
//	hanghub_test.go   a hub stops answering and goes on later
//	abandoned_test.go a scrape that was given up takes nothing
//	badpush_test.go   malformed pushes and contradictions harm nobody
//	promtool_test.go  promtool reads every scrape
//	stop_test.go      SIGTERM loses nothing, with servers that are late or halted
//	small_test.go     one hub, one Prometheus, nothing else
//	split_test.go     a scrape in ten parts, and a pair of servers
//	outage_test.go    a server is down: catching up, full hubs, a flood
//	deadserver_test.go  one server of a pair is dead, and stops nobody
//	old_test.go       a Prometheus that keeps only a series' first sample
//	exporter_kill_test.go  hubs die and hang under load and come back: Submit's time, who takes over, no flood
//	exporter_keep_test.go  a spool over a restart, a gateway that floods, hubs that join and leave
//	exporter_load_test.go  the load and what arrived of it; exporter_traffic_test.go: what went over the wire when
//	faults_test.go    each program and each way between them fails, alone and two at once; rolling restarts, rescales, wrong clocks
//	powerloss_linux_test.go  a controller's disk forgets what was not synced; root only
//	chaos_test.go     they fail at random, by a seed; chaos_faults_test.go: what fails; chaos_run_test.go, chaos_account_test.go
//	moves_test.go     queries over shards are right while gateways move: rescales, hubs that hang, stop and crash; hubquery, a ruler, Thanos
//	moves_fleet_test.go  gateways with known values; moves_ask_test.go: what is asked, and compared; moves_alerts_test.go: what fires
//	fixture_test.go   the programs and processes that the tests share
//	fleet_test.go     the gateways of a test, and what it asks about them
//	scraping_test.go  servers with a job of the test's, the hub's own metrics
//	pushes_test.go    pushes without an exporter, and which of them were taken
//	watch_test.go     asks all the time whether a series counts twice
//
//	bench             what a hub costs, see there
//	querybench        what queries cost over shards, and whether answers are the same; a module of its own
//	scrapers          scrapers and proxies, and what breaks: docs/scrapers.md
//
//	internal/realbin  builds the real programs, once
//	internal/process  starts, awaits and ends a program
//	internal/stack    the programs together
//	internal/fleet    the gateways, the controllers, the ledger
//	internal/promapi  PromQL over HTTP
//	internal/mortal   a controller as a process that can be killed, and its journal
//	internal/link     a network that loses answers
//	internal/tap      what an exporter sends, by the request
//	internal/procstat what a process costs
//	internal/report   tables, and goals that are reached or not
//	internal/runqueue how long a thread waited for a processor
//
// Processes listen on free loopback ports and die with the test. When a test
// fails, the end of each program's log is printed.
package e2e

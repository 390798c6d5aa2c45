// Package scrapers tries a hub with the scrapers and proxies of the table in
// docs/scrapers.md, a test a row.
//
// In each row known samples are pushed to a hub of the row's own, each with a time and
// a value that no other one has, while something breaks: the scraper, what it is told to
// refuse, or what stands between. At the end the far end is asked what it got. A sample
// that was pushed and is not there is lost; one that came again is counted as twice. The
// table says how many of each there may be, and a row fails when it is otherwise.
//
// Most rows are tried twice: asked, where the hub asks the scraper's server which
// responses it has stored (--scrape.server), and unasked, where only the connection tells.
//
// # Running it
//
// From the root of the repository:
//
//	go run ./e2e/cmd/realbin && go run ./e2e/cmd/realbin packaged    # once
//	go test -count=1 -v ./e2e/scrapers                               # about 2 minutes
//
// The rows of scrapers whose programs take many minutes to build are left out unless
// they are asked for:
//
//	go run ./e2e/cmd/realbin scrapers                                # once, about 10 minutes
//	go test -count=1 -v -run Nightly ./e2e/scrapers -nightly         # about 2 minutes
//
// The proxies come from Debian. Where they are missing the tests install them, which
// takes a root; so does the row of the full disk, which mounts one.
//
// # Map
//
//	table_test.go       docs/scrapers.md: what each row expects, and that rows and tests match
//	row_test.go         a row: a hub, what is pushed to it, the account at the end
//	sender_test.go      pushes known samples, and keeps what was refused
//	account_test.go     what was pushed beside what arrived
//	server_test.go      a Prometheus as a row's scraper
//	disk_linux_test.go  a disk that is soon full
//	relay_test.go       a network that stalls
//	client_test.go      scrapers by hand, down to the connection
//	sink_test.go        far ends of agents: remote write, OTLP, Telegraf's JSON
//
// and the rows:
//
//	prometheus_test.go  one Prometheus, and what breaks it
//	limits_test.go      a Prometheus that refuses samples
//	several_test.go     pairs, parts, and two scrapers on one cursor
//	proxies_test.go     HAProxy and nginx in between
//	clients_test.go     clients without a server to ask
//	nightly_test.go     vmagent, the OpenTelemetry Collector, Telegraf
package scrapers

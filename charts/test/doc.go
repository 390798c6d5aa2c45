// Package charttest guards the chart in charts/hubring. It renders it with Helm
// as a library, for every file in its ci folder, and reads what came out as the
// cluster and the programs would:
//
//   - every manifest is decoded strictly into its Kubernetes type, so that a
//     misspelled field is an error, and its names and labels are valid;
//   - what a manifest refers to is there: pods that a selector means, ConfigMaps,
//     keys, volumes, ports, Services behind every address that is written anywhere;
//   - the files of each pod are laid out as it would find them, and promtool checks
//     the configuration and the rules that its command line names;
//   - Prometheus, Thanos and the rule keeper run with the release's own command lines and
//     files, names of pods replaced by addresses of the loopback: blocks go to a bucket and
//     come back, sums are worked out by the shards' queriers, and deaths are told;
//   - edgehub is started with a hub's own command line, the others are asked whether
//     they know every flag;
//   - the promises of the design hold: Prometheus N scrapes hub N and nothing else, no
//     two servers share their external labels, the querier takes all of
//     them for replicas, the controllers' list names every hub, and one number more
//     or less leaves the other shards' pods as they are;
//   - a wrong value is refused with a sentence that says what to do.
//
// The programs are those of the end-to-end suite. Where its cache may be cold, run
// this first, from the root of the repository, since the build can outlast the
// ten minutes that go test allows by default:
//
//	go run ./e2e/cmd/realbin
//	go test -count=1 ./charts/test/...
//
// With -short, what needs a program is left out. Without -count=1 go test may answer
// from its cache, which cannot see that cmd/edgehub has changed.
//
// # Map
//
//	render_test.go      values in, objects out; the scenarios
//	release_test.go     what was rendered, as lookups: pods, their files, Services
//	manifests_test.go   names, labels, selectors, addresses
//	pods_test.go        containers and what they mount
//	pairing_test.go     hubs, their Prometheus servers, the controllers' list
//	thanos_test.go      querier, ruler, Alertmanager
//	policies_test.go    who may connect to whom
//	monitors_test.go    what an operator's Prometheus finds
//	web_test.go         TLS and passwords, with real programs; web_keys_test.go makes the keys
//	rules_test.go       the rule keeper, the built-in alerts
//	watch_test.go       who watches the ruler; shards and rulers that die
//	bucket_test.go      object storage: from sidecars to the store gateway
//	distributed_test.go a querier for each shard
//	running_test.go     containers as processes on the loopback
//	programs_test.go    promtool, edgehub and the flags of the others
//	stopping_test.go    the last scrape of a hub that stops, and servers that stop with it
//	placement_test.go   which nodes pods like
//	scale_test.go       from 1 server to 5 and back
//	refusals_test.go    wrong values
//	links_test.go       links in alerts lead outside
//	notes_test.go       NOTES.txt
//	dashboards_test.go  the dashboards as ConfigMaps, and what they show of the running programs (_live)
//	chart_test.go       helm lint, the schema
//	readme_test.go      the README and its table of values
package charttest

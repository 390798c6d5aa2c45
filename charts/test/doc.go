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
//   - a real kube-apiserver takes every object, field by field, and every pod under the
//     restricted Pod Security Standard; Helm installs and upgrades releases there, so that
//     no change touches a field that cannot change;
//   - amtool accepts Alertmanager's configuration;
//   - what the Dockerfiles say is done by hand, and the programs run in an empty root;
//   - the promises of the design hold: Prometheus N scrapes hub N and nothing else, no
//     two servers share their external labels, the querier takes all of
//     them for replicas, the controllers' list names every hub and their ring, and one number more
//     or less leaves the other shards' pods as they are;
//   - a wrong value is refused with a sentence that says what to do;
//   - and it runs: with one server, and with 3, 5 and 3 again, every container is started
//     as its manifest says, the exporter pushes a fleet, and the querier, the alerts
//     and every sample are watched through rescales, upgrades and a server's death.
//
// What runs needs Linux, and root or user namespaces: each such test starts itself
// again in a sandbox (internal/sandbox), where internal/kubelet turns objects into
// processes, with what internal/container, network, names and volume do for it.
// Nothing of it touches the host.
//
// The programs are those of the end-to-end suite, and some more. Where the cache may be
// cold, run this first, from the root of the repository, since the build can outlast
// the ten minutes that go test allows by default:
//
//	go run ./e2e/cmd/realbin && go run ./e2e/cmd/realbin cluster && go run ./e2e/cmd/realbin queries
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
//	hubctl_test.go      hubctl, which places the gateways
//	pods_test.go        containers and what they mount
//	pairing_test.go     hubs, their Prometheus servers, the controllers' list
//	query_test.go       hubquery over the servers
//	victoria_test.go    a VictoriaMetrics in each Prometheus' place
//	thanos_test.go      querier, ruler, Alertmanager
//	policies_test.go    who may connect to whom
//	monitors_test.go    what an operator's Prometheus finds
//	web_test.go         TLS and passwords, with real programs; web_keys_test.go makes the keys
//	rules_test.go       the rule keeper, the built-in alerts
//	watch_test.go       who watches the ruler; shards and rulers that die
//	bucket_test.go      object storage: from sidecars to the store gateway
//	remotewrite_test.go long-term storage elsewhere
//	distributed_test.go a querier for each shard
//	running_test.go     containers as processes on the loopback
//	programs_test.go    promtool, edgehub and the flags of the others
//	stopping_test.go    the last scrape of a hub that stops, and servers that stop with it
//	placement_test.go   which nodes pods like
//	scale_test.go       from 1 server to 5 and back
//	refusals_test.go    wrong values
//	values_test.go      every value changes something
//	upgrades_test.go    what restarts, in which order, and which volumes stay
//	links_test.go       links in alerts lead outside
//	notes_test.go       NOTES.txt
//	run_test.go         rescales, upgrades and a dead server, running; run_cluster_test.go
//	                    starts the pods, run_fleet_test.go the gateways, run_query_test.go,
//	                    run_observer_test.go and run_alerts_test.go look
//	dashboards_test.go  the dashboards as ConfigMaps, and what they show of the running programs (_live)
//	chart_test.go       helm lint, the schema
//	readme_test.go      the README and its table of values
//	amtool_test.go      amtool, and Alertmanager's flags
//	dockerfile_linux_test.go     what the Dockerfiles say
//	apiserver_test.go            kube-apiserver and etcd: start, ask, stop
//	apiserver_crds_test.go       the Prometheus operator's kinds
//	apiserver_accepts_test.go    objects and pods
//	apiserver_helm_test.go       Helm's install and upgrade
//	apiserver_hubctl_linux_test.go  hubctl with the token of its pod
package charttest

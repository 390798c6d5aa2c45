package dashboard

const (
	ofQuery   = `job="hubquery",` + notGateways
	ofQuerier = `job="thanos-query",` + notGateways
)

func queries() Dashboard {
	return board("hubring-queries", "Hubring / Queries",
		"Who answers for all servers: hubquery, or a Thanos querier, as query.mode says.",
		"now-3h", nil,
		row{title: "hubquery (query.mode shards)", panels: []Panel{
			graph(6, "Queries, by answer", "reqps", "hubquery's answers, by status. 422: the query asks for too much. 429: too many wait. 503: a shard does not answer, and query.partialResponse is false.",
				query{"sum by (code) (rate(hubquery_queries_total{" + ofQuery + "}[$__rate_interval]))", "{{code}}"}),
			graph(6, "Time of a query", "s", "By kind, without waiting for others to end.",
				quantile("0.50", "hubquery_query_duration_seconds", ofQuery, "path"),
				quantile("0.99", "hubquery_query_duration_seconds", ofQuery, "path")),
			graph(6, "Time of a shard's part", "s", "How long each shard takes to answer. One that is slower than the others has more to do, or less to do it with.",
				quantile("0.50", "hubquery_shard_request_duration_seconds", ofQuery, "shard"),
				quantile("0.99", "hubquery_shard_request_duration_seconds", ofQuery, "shard")),
			states(6, "Shards that answer", "Whether a server of the shard answers hubquery; of a pair one will do.", texts("0", "silent", "red", "1", "answers", "green"),
				query{"min by (shard) (hubquery_shard_up{" + ofQuery + "})", "{{shard}}"}),
			graph(6, "Where parts are worked out", "cps", "shards: in the shards' servers. raw: in hubquery, from raw series, since the expression cannot be split or gateways moved.",
				query{"sum by (where) (rate(hubquery_parts_total{" + ofQuery + "}[$__rate_interval]))", "{{where}}"}),
			graph(6, "Answers without a shard", "reqps", "They have a warning.",
				query{"sum by (instance) (rate(hubquery_partial_answers_total{" + ofQuery + "}[$__rate_interval]))", "{{instance}}"}),
			graph(6, "Queries that wait", "short", "For others to end. From query.maxConcurrency on.",
				query{"max by (instance) (hubquery_waiting_queries{" + ofQuery + "})", "{{instance}}"}),
			graph(6, "Memory of hubquery", "bytes", "Resident memory of the process. The container's limit is query.resources.",
				query{"max by (instance) (process_resident_memory_bytes{" + ofQuery + "})", "{{instance}}"}),
		}},
		row{title: "Thanos querier (query.mode thanos, thanos-distributed)", collapsed: true, panels: []Panel{
			graph(8, "Time of a query, 99 %", "s", "The Thanos querier's answers to instant queries and to those over a range.",
				query{`histogram_quantile(0.99, sum by (le, handler) (rate(http_request_duration_seconds_bucket{` + ofQuerier + `,handler=~"query|query_range"}[$__rate_interval])))`, "{{handler}}"}),
			graph(8, "Queries under way", "short", "Beside the lowest number that a querier works on at the same time; more have to wait.",
				query{"max by (instance) (thanos_query_concurrent_gate_queries_in_flight{" + ofQuerier + "})", "{{instance}}"},
				query{"min(thanos_query_concurrent_gate_queries_max{" + ofQuerier + "})", "limit"}).bound("limit"),
			graph(8, "Servers that the querier asks", "short", "By kind: sidecar is a Prometheus server. Fewer than there are: answers are partial.",
				query{"sum by (instance, store_type) (thanos_store_nodes_grpc_connections{" + ofQuerier + "})", "{{instance}} {{store_type}}"}),
		}},
	)
}

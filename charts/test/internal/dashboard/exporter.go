package dashboard

// ofExporter selects controllers. Those that are scraped have an instance; those that send their own metrics
// (exporter.Gather) have the label of their CloudMetricContext, if it is set.
const (
	ofExporter = `{job=~"$job",instance=~"$instance",cloudHost=~"$host"}`
	controller = "{{instance}}{{cloudHost}}"
)

func perController(metric string) query {
	return query{"max by (instance, cloudHost) (" + metric + ofExporter + ")", controller}
}

// exported is the rate of an exporter's counter by a label.
func exported(counter, by string) query {
	return query{"sum by (" + by + ") (rate(" + counter + ofExporter + "[$__rate_interval]))", "{{" + by + "}}"}
}

// exportedBy is the rate of an exporter's counter for each controller, with a word behind it.
func exportedBy(counter, word string) query {
	return query{"sum by (instance, cloudHost) (rate(" + counter + ofExporter + "[$__rate_interval]))", controller + " " + word}
}

func exporters() Dashboard {
	const info = "hubring_exporter_ring_hubs"
	return board("hubring-exporter", "Hubring / Exporter",
		"The exporters in the controllers: what they have queued, which hubs they step over, what they dropped. They are here if Prometheus scrapes the controllers, or if they send their own metrics with exporter.Gather.",
		"now-3h", []Variable{
			choice("job", "Job", info, "job"),
			choice("instance", "Controller", info+`{job=~"$job"}`, "instance"),
			choice("host", "Cloud host", info, "cloudHost"),
			input("queue", "MaxQueueBytes", "67108864"),
		},
		row{title: "Now", panels: []Panel{
			stat(4, "Hubs stepped over", "short", "Hubs that at least one exporter does not send to, since they did not answer.",
				query{"count(min by (hub) (hubring_exporter_hub_up" + ofExporter + ") == 0) or vector(0)", "down"}).from(1, "red"),
			stat(4, "Oldest sample", "s", "The oldest sample in any queue. Above a few seconds hubs are down or too slow.",
				query{"max(hubring_exporter_queue_age_seconds" + ofExporter + ")", "age"}).from(10, "orange").from(30, "red"),
			stat(4, "Fullest queue", "percentunit", "Memory of samples, as a part of MaxQueueBytes, which is set above as the controllers have it.",
				query{"max(hubring_exporter_queue_bytes" + ofExporter + ") / $queue", "full"}).from(0.75, "orange").from(0.95, "red"),
			stat(4, "Dropped in an hour", "short", "Samples, for any reason.",
				query{"sum(increase(hubring_exporter_samples_dropped_total" + ofExporter + "[1h]))", "samples"}).from(1, "red"),
			stat(4, "Rings", "none", "Controllers that do not agree on the hubs send a gateway to two of them.",
				query{`count(count_values("ring", hubring_exporter_ring_fingerprint` + ofExporter + "))", "rings"}).says(texts("1", "agree", "green")).from(2, "red"),
			stat(4, "Samples delivered", "cps", "Samples a second that hubs acknowledged.",
				query{"sum(rate(hubring_exporter_samples_delivered_total" + ofExporter + "[$__rate_interval]))", "samples"}),
		}},
		row{title: "Hubs, as the exporters see them", panels: []Panel{
			states(12, "State", "down: at least one exporter steps over the hub. catching up: one is sending what has piled up.",
				texts("0", "up", "green", "1", "catching up", "yellow", "2", "down", "red", "3", "down", "red"),
				query{"max by (hub) (2 * (1 - hubring_exporter_hub_up" + ofExporter + ") + hubring_exporter_hub_catching_up" + ofExporter + ")", "{{hub}}"}),
			graph(12, "Samples rerouted", "cps", "Samples that left a hub's queue for another one's: it was down, their home is up again, or the ring changed.",
				exported("hubring_exporter_samples_rerouted_total", "hub")),
			graph(12, "Samples that wait for a hub", "short", "Without those in requests. One hub's line alone: it is slow, or Failover is WaitForOwner.",
				query{"sum by (hub) (hubring_exporter_hub_queue_samples" + ofExporter + ")", "{{hub}}"}),
			graph(12, "Times that a hub went down or came back", "short", "Changes within 10 minutes, of all exporters. Many: the hub is overloaded rather than down.",
				query{"sum by (hub) (changes(hubring_exporter_hub_up" + ofExporter + "[10m]))", "{{hub}}"}),
		}},
		row{title: "Delivery", panels: []Panel{
			graph(12, "Samples", "cps", "sent far above delivered: hubs fail after they read.",
				query{"sum(rate(hubring_exporter_samples_submitted_total" + ofExporter + "[$__rate_interval]))", "submitted"},
				query{"sum(rate(hubring_exporter_samples_sent_total" + ofExporter + "[$__rate_interval]))", "sent"},
				query{"sum(rate(hubring_exporter_samples_delivered_total" + ofExporter + "[$__rate_interval]))", "delivered"}),
			graph(12, "Samples delivered to each hub", "cps", "", exported("hubring_exporter_samples_delivered_total", "hub")),
			graph(12, "Pushes by outcome", "reqps", "failed: the hub is stepped over. crowded: a 429 for one gateway's sake, which waits. refused: the samples can never be taken; the push is halved until the bad ones are alone. cut: such a push was halved.",
				exported("hubring_exporter_pushes_total", "outcome")),
			graph(12, "Time of a push", "s", "From its start to its outcome.",
				quantile("0.50", "hubring_exporter_push_duration_seconds", ofExporter[1:len(ofExporter)-1], "hub"),
				quantile("0.99", "hubring_exporter_push_duration_seconds", ofExporter[1:len(ofExporter)-1], "hub")),
		}},
		row{title: "Queue", panels: []Panel{
			graph(8, "Memory of the queue", "bytes", "When MaxQueueBytes, as set above, are in use, Submit returns ErrQueueFull, or the oldest samples are dropped with DropOldest.",
				perController("hubring_exporter_queue_bytes"), query{"vector($queue)", "bound"}).bound("bound"),
			graph(8, "Age of the oldest sample", "s", "Time since it was submitted.",
				perController("hubring_exporter_queue_age_seconds")).from(30, "red"),
			graph(8, "Samples in the queue", "short", "In memory, in SpoolDir and in flight.",
				perController("hubring_exporter_queue_samples")),
			graph(12, "Samples in SpoolDir", "short", "What did not fit into three quarters of the memory.",
				perController("hubring_exporter_spool_samples")),
			graph(12, "Samples to and from SpoolDir", "cps", "spilled: moved from memory. restored: left by an earlier run.",
				exportedBy("hubring_exporter_samples_spilled_total", "spilled"),
				exportedBy("hubring_exporter_samples_restored_total", "restored")),
		}},
		row{title: "Losses and failures", panels: []Panel{
			graph(12, "Samples dropped, by reason", "cps", "rejected_..., queue_overflow, spool_damaged and undelivered had been taken in; the others Submit did not take, and said so.",
				exported("hubring_exporter_samples_dropped_total", "reason")),
			graph(12, "Failures", "cps", "spool: samples could not be written to SpoolDir. gather: the controller's own metrics were not all gathered or submitted. members: the question which hubs there are got no good answer.",
				exportedBy("hubring_exporter_spool_failures_total", "spool"),
				exportedBy("hubring_exporter_gather_failures_total", "gather"),
				exportedBy("hubring_exporter_members_failures_total", "members")),
		}},
		row{title: "Ring", panels: []Panel{
			graph(6, "Different rings", "short", "1: all controllers agree. More for a minute while a change spreads; for longer, gateways are split.",
				query{`count(count_values("ring", hubring_exporter_ring_fingerprint` + ofExporter + "))", "rings"}).from(2, "red"),
			graph(6, "Hubs in the ring", "short", "0 while none is known.", perController("hubring_exporter_ring_hubs")),
			graph(6, "Changes of the ring in 10 minutes", "short", "Each moves gateways.",
				query{"max by (instance, cloudHost) (changes(hubring_exporter_ring_fingerprint" + ofExporter + "[10m]))", controller}),
			graph(6, "Time since the last answer of Members", "s", "The ring stays as it is while there is no good answer. Controllers with a fixed list of hubs have no line.",
				query{"time() - max by (instance, cloudHost) (hubring_exporter_members_last_success_timestamp_seconds" + ofExporter + ")", controller}),
		}},
	)
}

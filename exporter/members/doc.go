// Package members says who the hubs are: DNS and File are asked for them, again and
// again, and each answer is all of them.
//
//	DNS or File ──► Hubs(ctx) ──► []Hub ──► Check: defaults, by name, fit for a ring
//
// Nothing here remembers an answer or tells whether a hub is up. Both types are plain
// values and may be used by several goroutines. exporter.Config.Members takes them, or
// anything else that has their method Hubs.
//
// # Map of files
//
//	hub.go       one hub, and what a set of them must be
//	dns.go       from SRV, A or AAAA records
//	file.go      from a file of Prometheus' file_sd_configs; json.go: one that is JSON
//	problems.go  the faults of one answer, the first few of many
package members

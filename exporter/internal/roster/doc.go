// Package roster finds out who the hubs are now: a Watcher asks, again and again, and
// lets its answers count when they can be believed.
//
//	ask(ctx) ──► members.Check ──► roster: who joins, who left ──► apply(all hubs)
//	    ▲            │ no answer, or none that is good                 │ an error: as it was before
//	    └────────────┴───── wait: an interval, or less ◄───────────────┘
//
// # Map of files
//
//	watcher.go  asks, waits, logs, tells
//	roster.go   when an answer is believed
package roster

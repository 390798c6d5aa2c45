// Package push makes requests of one hub and decides what became of each: a push of
// bodies, a probe, word of gateways that left. It queues and repeats nothing.
//
//	[]*wire.Body ──► Push ──► text, gzip if the hub reads it ──► POST /metrics
//	                                                                 │
//	    verdict.Result ◄── Judge: once, by status and reason ◄── answer, or none
//
// Only a hub's answer says something about samples; that of anybody else at its address
// means TryNext, but for what Settings.Others lets in. A request is bounded by
// Settings.Timeout, and what is kept of an answer in bytes.
//
// # Map of files
//
//	push.go     one push, one probe, one telling
//	others.go   answers of receivers that are no hubs
//	agent.go    User-Agent
//
// What an answer means is internal/verdict's to say.
package push

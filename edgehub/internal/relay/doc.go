// Package relay gives what no scraper of a hub is known to have to another hub, since this one is going away.
//
//	store.Missing ─► chunk: in the order of phase, gateway, time ─► requests of about 1 MiB ─► POST /metrics, /gateways/ended
//	      ▲                                                                                          │
//	      └── scrapers pass the chunk; what was not taken is put back behind the end ◄── verdict ◄───┘
//
// A gateway's samples go out in the order of time. A marker, which text cannot carry, ends a phase: what its gateway had
// before goes out first, then word that it had ended, then what came later. The hub's own series are left out, as
// the other hub has its own.
//
// A chunk is settled as a whole: scrapers pass it when all of it was asked for, and what the other hub has not taken is
// in the log again by then. So a position stays all that a cursor is, and what was taken is given away once. What was sent and not
// answered is kept, and may be on both hubs.
//
// What another scraper has is not given away: only a scraper that is further behind lacks it, and is left behind. Two
// shards with the same samples would count them twice.
package relay

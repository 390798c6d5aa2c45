// Package web is the hub's doors: what senders, scrapers and whoever looks may ask, and
// the answers.
//
// The life of a push: push.go lets it in, body reads it, intake takes it into the store;
// an error of any of them becomes a status and a reason (refusal.go).
//
// A push by gRPC (collect.go) comes by a door of its own, and is taken likewise.
//
// A push to a group, as to a Pushgateway, goes to groups instead (groups.go), and each response has
// what is there behind the samples of the log.
//
// The life of a scrape: request.go says who asks for what; the scraper's line (line.go)
// settles what became of the response before, by asking the server whether its
// receipt is there (receipts.go) or else by what became of the connection (handover), and says what
// the next response may hold: as much as fits the scraper's time (pace.go), and no
// series that its server refuses (trial). arrange puts it in order, render writes it, with a
// receipt behind it; scrape.go does this one after the other.
package web

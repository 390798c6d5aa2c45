// Package trial decides what the next response to a scraper may hold, from what became of the
// earlier ones.
//
// Prometheus commits a scrape as a whole or not at all. So one series that it refuses,
// or one sample too many, keeps all others out. The hub is told afterwards
// that a response was stored, or that it arrived and was not.
package trial

// Package samples holds what waits for scrapers: a log of (series, time, value) in the
// order of arrival, with a cursor for each scraper.
//
// The life of a sample: a push's batch is admitted if there is room, and written behind
// the end; a View shows it to a scraper's Cursor; what was written to the scraper is an
// Offer, which is taken, and the cursor moves behind it, or withdrawn, and the
// samples come again; when every cursor has passed its segment, the segment is dropped. One
// that nobody comes for is sealed: it lies in a block from then on, which is packed.
//
// It knows series and gateways by their numbers only. All methods of a Log may be called
// from any goroutine.
package samples

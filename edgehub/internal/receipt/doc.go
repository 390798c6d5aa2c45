// Package receipt asks a Prometheus server what it has stored.
//
// The life of a receipt: a response to a scraper ends with one sample of the hub's own,
// edgehub_receipt, whose value numbers the response (Numbers). The server commits a scrape as
// a whole or not at all, so where this sample is stored, the rest is. After the
// response was written the hub asks for it (Asker.Pursue) until it is there, or until
// the scraper comes again. If it is not there by then, the server's list of targets
// may tell why (Asker.Why).
//
// The package knows nothing of the hub.
package receipt

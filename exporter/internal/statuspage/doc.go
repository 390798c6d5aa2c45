// Package statuspage shows what an exporter is doing, to people as a page and to programs as
// JSON. It is given a status.Report and knows nothing of whom it is about.
//
//	report(gateway) ──► Report ──► Present: times, lists, no passwords ─┬─► page.html
//	                                                                        └─► JSON
//
// # Map of files
//
//	handler.go  who asks gets what
//	present.go  a report made fit to be shown
//	page.go     the page's words and figures; page.html
package statuspage

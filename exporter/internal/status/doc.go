// Package status shows what an exporter is doing, to people as a page and to programs as
// JSON. It is given a Report and knows nothing of whom it is about.
//
//	report(gateway) ──► Report ──► presentable: times, lists, no passwords ─┬─► page.html
//	                                                                        └─► JSON
//
// # Map of files
//
//	handler.go  who asks gets what
//	report.go   what there is to say, and its names in JSON
//	page.go     the page's words and figures; page.html
package status

// Package exposition reads and writes Prometheus' text format, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/): it is what the
// exporter and the hub share.
//
// A body is read line by line with a Scanner. Senders repeat themselves, so the
// caller passes what it expects at the start of the next line; where that is
// right, one comparison of bytes stands for parsing the line's names and labels,
// and only the number and the timestamp are read. A series seen for the first
// time is checked in full by a SeriesParser, which returns its canonical text.
//
// Classic names are [a-zA-Z_:][a-zA-Z0-9_:]*, without the colon for labels. Any
// other UTF-8 text but the empty one may be a name, too, and then stands in
// quotes, a metric name within the braces: {"my.metric","my.label"="value"}. Such
// a line fails the whole scrape of a server that validates names the old way, so
// a scraper gets the Escaping that it asks for (Negotiate), and classic names unless it
// asks for others. Version 1.0.0 of the format is no more than this.
package exposition

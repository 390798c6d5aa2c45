// Package words spells what is more than a number so that a log of numbers carries it: native histograms, exemplars and start times.
//
// A word is a NaN of a bit pattern that no sender's value has in the log. Its top 16 bits say what it is, so each word tells by itself:
// the head of a native histogram, of a length and with a checksum; the head of an exemplar, likewise; a start time; or six bytes of
// the message that a head began. None is a marker that ends a series.
//
//	number              1.5 [start] [exemplar, its bytes…]…
//	native histogram    head, its bytes… [start] [exemplar, its bytes…]…
//
// They stand in the log as samples of one series and one time, one right behind the other. So a head is a sample like any other, and what follows it
// belongs to it. An exemplar that came without its sample stands alone, at the time when it was observed, and belongs to the next sample of its series, or the
// last one where there is none. Where a log was cut, a reader leaves out what is not whole.
package words

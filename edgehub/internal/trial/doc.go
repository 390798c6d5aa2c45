// Package trial decides what the next response to a scraper may hold, from what became of the
// earlier ones.
//
// Prometheus commits a scrape as a whole or not at all. So one series that it refuses, or one
// sample too many, keeps all others out. The hub is told afterwards that a response was stored,
// or that it arrived and was not.
//
// The life of a turn: Next says from which place in the log to read, and whose samples to
// write. In normal life there is one place, main's, and all are written. What is written
// goes to the server, and Stored or Refused brings back what became of it. If it was stored,
// its series are proven, and the place moves. If it was refused, its place stays, and
//
//   - if some of its series were never stored before, these are suspected. They become a group
//     with a place of its own (suspect), and main goes on without them, so that all others arrive
//     with the next scrape. From then on every second turn is a group's;
//   - if all were stored before, there may have been too many samples: fewer are written (size);
//   - if the server says that it is for something in it, or it was a single sample, whatever was
//     stored before has to prove itself anew.
//
// A group writes what main has left of it. If it is stored up to where main is, it goes on with
// main (join). If it is refused, it is divided, until one series is alone (judge). Series of one
// gateway stay together as long as there are others, since mostly all of a gateway, or all of a
// metric, are bad: an incident remembers what it learned of them. Who is refused alone twice is
// set aside: its samples are passed over, and after a while it is tried again (ward).
//
// No refusal counts unless the server stored something right before and right after, or says itself
// what was wrong: a server that is full or broken for two responses or more is nobody's fault.
//
// What the tests hold it to: every sample of a series that the server takes is stored, once; in the
// end just the series are set aside that it refuses, except that four of a gateway or metric
// condemn those that are refused together with no other; the others' samples are stored in the same scrape
// or the next, unless yet another new series is refused in that; n bad series, gateways or metrics among
// m series are found within 4(n+1)log2(m) scrapes; to try again what was set aside costs one scrape in
// twenty.
package trial

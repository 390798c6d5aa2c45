// Package series interns the names of series: a spelling, which is how a sender
// writes a series, leads to the series' number.
//
// The life of a name: a push looks its spelling up in the Index, without a lock, and
// mostly not even that, since a Chain tells what comes next; where it is
// not known the push notes a Newcomer; when the push is read to its end, Learn takes
// in all of its newcomers or none; a Ranking puts the series in the order in which
// they are written; Expire makes a table without those that are idle.
//
// What a series is called is kept once for the whole fleet: a spelling is the number of its
// frame and that of its gateway, whose name stands in the frame (frame.go).
//
// It knows nothing of samples, of formats or of text.
package series

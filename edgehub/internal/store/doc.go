// Package store is the one place that sees names and samples: a table of series and a
// log whose samples bear the table's numbers.
//
// The life of a batch: a reader of some format fills it with the table's help, and notes
// as newcomers what the table does not know; Commit has the table learn those and the log take the
// samples, all or nothing; Read shows a cursor's samples in the order of a ranking; what is
// idle is forgotten by Sweep.
package store

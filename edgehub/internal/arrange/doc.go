// Package arrange puts a stretch of the log into the order in which it is written: by
// family, by series, by time. It chooses what goes out, too.
//
// The life of a view: Arrange counts the samples of each series, up to where they are
// enough, gives each series its place and puts the samples there; Of hands out a
// series' points, sorted and each time once.
package arrange

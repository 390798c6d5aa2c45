// Package groups holds what is pushed as to a Pushgateway: groups of metrics, each under a
// set of labels, which stay and are given to every scrape, without times, until they are deleted,
// replaced or too old.
//
// The life of a push: ParsePath reads its labels from the path, Decode its families from
// the body; check.go refuses what a scrape could not give, and puts the rest into one form; index.go
// says in a time that does not depend on how many groups there are whether it fits what others
// pushed; disk.go has it survive the process; then it takes the place of what the group was.
//
// The life of a scrape: a View gathers the families of all groups, and writes them as text or
// protobuf behind what the log has.
package groups

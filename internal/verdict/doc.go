// Package verdict decides what the answer to a push says about the samples, for those who push to hubs:
// the exporter, and a hub that hands over what it has.
//
// Only a hub's answer says something about samples; that of anybody else at its address says that the hub is not
// there.
package verdict

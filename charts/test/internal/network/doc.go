// Package network is the network of a node: a bridge, and pods with an address and a
// network namespace each. It belongs into a sandbox.
package network

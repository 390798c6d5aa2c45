// Package sandbox runs a test in namespaces of its own, so that it can have a network
// and mounts as it likes, the host sees none of it, and nothing outlives the test.
//
// It is for Linux: the other systems have no such namespaces.
package sandbox

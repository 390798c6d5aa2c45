// Package container starts a program as a container runtime would: with a root, a
// process table and a host name of its own, in a pod's network, as the user that it is
// to run as, and without a single capability.
//
// A program that imports the package starts itself again for that: the new
// process makes its root from a Spec, gives up what it must not have, and becomes the
// container's program. It has to be in a sandbox, whose kernel also ends the
// containers with it.
package container

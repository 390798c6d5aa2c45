// Package doors pushes to a hub with the clients that people have, each as its own project ships it, and asks a real Prometheus
// what came of it: a test a door. It holds nothing but tests.
//
// The gate pushes for some seconds at a hub that is full. Clients whose programs take minutes to build, and half a minute of a full hub, are
// for the night:
//
//	go test ./e2e/doors -nightly -timeout 15m
//
// Clients in other languages are small programs in testdata/clients, whose libraries come from Debian and npm:
//
//	go run ./e2e/cmd/realbin packaged
package doors

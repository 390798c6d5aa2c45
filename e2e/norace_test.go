//go:build !race

package e2e

// raceEnabled says that the tests have the race detector, so the hubs get it.
const raceEnabled = false

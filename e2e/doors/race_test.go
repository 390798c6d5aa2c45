//go:build race

package doors

// raceEnabled says that the tests have the race detector, so the hubs get it.
const raceEnabled = true

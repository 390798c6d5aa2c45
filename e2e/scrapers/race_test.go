//go:build race

package scrapers

// raceEnabled says that the tests have the race detector, so the hubs get it.
const raceEnabled = true

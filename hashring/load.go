package hashring

import (
	"errors"
	"fmt"
)

// maxSeries is a load that no node could carry; below it, sums do not overflow.
const maxSeries = 1 << 32

// maxFaults is how many faults an error lists; a fleet file of the wrong kind has one on
// every line.
const maxFaults = 10

// Load is a key with what it weighs: a gateway and the number of its series. The
// samples of no gateway have the empty key. A controller that does not know the
// numbers gives all keys the same one.
type Load struct {
	Key    string
	Series int
}

// checkLoads reports every fault of a set of loads.
func checkLoads(loads []Load) error {
	var errs []error
	faults := 0
	report := func(format string, args ...any) {
		if faults++; faults <= maxFaults {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	seen := make(map[string]struct{}, len(loads))
	for _, l := range loads {
		if _, twice := seen[l.Key]; twice {
			report("key %q is listed twice", l.Key)
		}
		seen[l.Key] = struct{}{}
		if l.Series < 0 || l.Series > maxSeries {
			report("key %q has %d series, it must have between 0 and %d", l.Key, l.Series, maxSeries)
		}
	}
	if faults > maxFaults {
		errs = append(errs, fmt.Errorf("and %d faults more", faults-maxFaults))
	}
	return errors.Join(errs...)
}

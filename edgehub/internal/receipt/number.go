package receipt

import (
	"strconv"
	"sync"
	"time"
)

// Name is the metric's name.
const Name = "edgehub_receipt"

// Number tells a response from all others of a hub. It is less than 2^53 for the
// next two centuries, so that a sample's value holds it exactly.
type Number uint64

// mostExact is the first number that a sample's value may not hold exactly.
const mostExact = 1 << 53

// String is the number as it is written as a sample's value.
func (n Number) String() string { return strconv.FormatUint(uint64(n), 10) }

// parseNumber reads a sample's value. Values that are no numbers of responses, such as
// another client's under the same name, are not ok.
func parseNumber(value string) (n Number, ok bool) {
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || !(f > 0 && f < mostExact) || f != float64(uint64(f)) {
		return 0, false
	}
	return Number(f), true
}

// Numbers gives each response a number that is larger than all before, also than
// those of an earlier process, as long as the clock is not set back. It may be used
// concurrently. The zero value is ready.
type Numbers struct {
	mu   sync.Mutex
	last Number
}

// Next returns the number of the next response: microseconds since the epoch, or
// the last one and 1.
func (n *Numbers) Next(now time.Time) Number {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = max(n.last+1, Number(max(now.UnixMicro(), 0)))
	return n.last
}

// Labels are those of a receipt. An empty one is not written.
type Labels struct {
	Cursor string
	Part   string // such as 2/10
}

// selector selects the receipts with these labels.
func (l Labels) selector() string {
	return Name + "{cursor=" + strconv.Quote(l.Cursor) + ",part=" + strconv.Quote(l.Part) + "}"
}

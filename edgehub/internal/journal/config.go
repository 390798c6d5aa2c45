package journal

import (
	"fmt"
	"strings"
	"time"

	"github.com/hubring/hubring/internal/framing"
)

// Config says where a journal is, and when it is safe.
type Config struct {
	Dir          string // created for its owner alone (0700) if it is missing
	Sync         Sync
	SegmentBytes int64        // at which the next segment is begun; a larger push has one of its own. 0 means 64 MiB
	Disk         framing.Disk // nil means the real one
	// PackAfter is how long the samples of a segment wait before Pack packs it. 0 means two minutes.
	PackAfter time.Duration
	// PackShare is how much of the time Pack works, and otherwise rests, for each segment that waits to be packed: it is in no hurry, and
	// pushes need the processor. 0 means a hundredth.
	PackShare float64
	// Synced is told how long each flush took, in seconds; nil for nobody.
	Synced func(seconds float64)
}

const (
	// SegmentBytes is the default of Config.SegmentBytes.
	SegmentBytes = 64 << 20
	// maxSegmentBytes leaves room for the group that makes a segment full.
	maxSegmentBytes = framing.MaxSegmentBytes / 2
)

// Sync says what survives a loss of power. The kill of the process loses nothing that was
// acknowledged, whatever it says.
type Sync struct {
	Always bool          // nothing that was acknowledged is lost
	Every  time.Duration // what came in so long is lost at most; 0 for what the system had not written by itself
}

// ParseSync reads "always", "os" or "interval:" and a duration.
func ParseSync(text string) (Sync, error) {
	switch text {
	case "always":
		return Sync{Always: true}, nil
	case "os":
		return Sync{}, nil
	}
	if interval, ok := strings.CutPrefix(text, "interval:"); ok {
		if d, err := time.ParseDuration(interval); err == nil && d >= time.Millisecond {
			return Sync{Every: d}, nil
		}
	}
	return Sync{}, fmt.Errorf("%q is not always, os, or interval: with a duration of 1ms at least, such as interval:100ms", text)
}

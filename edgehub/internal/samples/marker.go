package samples

import "math"

// markerBits is the value that tells a Prometheus that a series ends. It is one of many
// NaNs: only its bits tell it from the others, so it must not be computed with, and a
// format of letters cannot carry it.
const markerBits = 0x7ff0000000000002

// Marker is the value of a sample that ends its series.
func Marker() float64 { return math.Float64frombits(markerBits) }

// IsMarker says whether a sample of this value ends its series.
func IsMarker(value float64) bool { return value != value && math.Float64bits(value) == markerBits }

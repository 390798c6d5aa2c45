package encode

// Reason says why samples are left out, or that they are not.
type Reason int

// Taken is no reason. For each of the others the metric at fault is left out, and no other.
const (
	Taken Reason = iota

	MissingMetric     // a nil family or metric
	EmptyName         // neither the context nor the family has a name
	UnknownType       // a type that the text format has no word for
	MissingValue      // a counter without a Counter, and so on
	InvalidLabelName  // also __name__
	DuplicateLabel    // two labels of one name
	ReservedLabel     // le on a histogram, quantile on a summary
	InvalidLabelValue // not UTF-8, or with a NUL byte
	TooManyLabels     // more than a hub takes, see exposition.DefaultLimits
	TooLong           // a series that is longer than a hub takes
	InvalidBound      // a bucket or quantile that is nil or NaN
	EmptyContext      // a label that the context sets to nothing, and the metric has: whose is it?
	SeriesCollision   // another family of the gateway has the series

	NumReasons
)

var reasonNames = [NumReasons]string{
	Taken:             "none",
	MissingMetric:     "missing_metric",
	EmptyName:         "empty_name",
	UnknownType:       "unknown_type",
	MissingValue:      "missing_value",
	InvalidLabelName:  "invalid_label_name",
	DuplicateLabel:    "duplicate_label",
	ReservedLabel:     "reserved_label",
	InvalidLabelValue: "invalid_label_value",
	TooManyLabels:     "too_many_labels",
	TooLong:           "too_long",
	InvalidBound:      "invalid_bound",
	EmptyContext:      "empty_context",
	SeriesCollision:   "series_collision",
}

// String is the word for it in metrics and errors.
func (r Reason) String() string { return reasonNames[r] }

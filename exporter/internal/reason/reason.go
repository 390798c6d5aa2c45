// Package reason has the words for why samples were dropped, as metrics, errors and logs have them.
package reason

import "net/http"

// Reason says why samples are dropped, or that they are not.
type Reason int

// Taken is no reason.
const Taken Reason = 0

// What cannot be encoded. For each of these the metric at fault is left out, and no other.
const (
	MissingMetric     Reason = iota + 1 // a nil family or metric
	EmptyName                           // neither the context nor the family has a name
	UnknownType                         // a type that the text format has no word for
	MissingValue                        // a counter without a Counter, and so on
	InvalidLabelName                    // also __name__
	DuplicateLabel                      // two labels of one name
	ReservedLabel                       // le on a histogram, quantile on a summary
	InvalidLabelValue                   // not UTF-8, or with a NUL byte
	TooManyLabels                       // more than a hub takes, see exposition.DefaultLimits
	TooLong                             // a series that is longer than a hub takes
	InvalidBound                        // a bucket or quantile that is nil or NaN
	EmptyContext                        // a label that the context sets to nothing, and the metric has: whose is it?
	SeriesCollision                     // another family of the gateway has the series

	// NumEncoding is the number of those above, and of Taken.
	NumEncoding
)

// A Submit that returned an error took nothing in.
const (
	QueueFull    Reason = NumEncoding + iota
	HubShare            // what waits for its hub fills the queue
	GatewayShare        // the gateway does
	Closed
	Cancelled
	NotKept // they could not be written to disk, and were to be

	afterSubmit
)

// After the samples were taken in.
const (
	Rejected400 Reason = afterSubmit + iota
	Rejected413
	Rejected422
	Rejected429  // of a gateway that a hub takes no more of, beyond its part of the queue
	Overflow     // the oldest, to make room for newer ones
	SpoolDamaged // on disk, and not to be read again
	Undelivered

	// Num is the number of all.
	Num
)

var names = [Num]string{
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
	QueueFull:         "queue_full",
	HubShare:          "hub_share",
	GatewayShare:      "gateway_share",
	Closed:            "closed",
	Cancelled:         "cancelled",
	NotKept:           "not_kept",
	Rejected400:       "rejected_400",
	Rejected413:       "rejected_413",
	Rejected422:       "rejected_422",
	Rejected429:       "rejected_429",
	Overflow:          "queue_overflow",
	SpoolDamaged:      "spool_damaged",
	Undelivered:       "undelivered",
}

// String is the word for it in metrics and errors.
func (r Reason) String() string { return names[r] }

// Refused is the reason for samples that a hub refused with a status.
func Refused(status int) Reason {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return Rejected413
	case http.StatusUnprocessableEntity:
		return Rejected422
	default:
		return Rejected400
	}
}

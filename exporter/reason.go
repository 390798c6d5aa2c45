package exporter

import (
	"net/http"

	"github.com/hubring/hubring/exporter/internal/encode"
)

// reason says why samples were dropped: one of encode's, or one of these.
type reason int

// taken is no reason.
const taken = reason(encode.Taken)

const (
	// A Submit that returned an error took nothing in.
	submitFull         reason = reason(encode.NumReasons) + iota
	submitHubShare            // what waits for its hub fills the queue
	submitGatewayShare        // the gateway does
	submitClosed
	submitCancelled

	// After the samples were taken in.
	rejected400
	rejected413
	rejected422
	rejected429  // of a gateway that a hub takes no more of, beyond its part of the queue
	overflow     // the oldest, to make room: see DropOldest
	spoolDamaged // on disk, and not to be read again
	undelivered

	numReasons
)

var reasonNames = [...]string{
	submitFull:         "queue_full",
	submitHubShare:     "hub_share",
	submitGatewayShare: "gateway_share",
	submitClosed:       "closed",
	submitCancelled:    "cancelled",
	rejected400:        "rejected_400",
	rejected413:        "rejected_413",
	rejected422:        "rejected_422",
	rejected429:        "rejected_429",
	overflow:           "queue_overflow",
	spoolDamaged:       "spool_damaged",
	undelivered:        "undelivered",
}

// refusedAs is the reason for samples that a hub refused with a status.
func refusedAs(status int) reason {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return rejected413
	case http.StatusUnprocessableEntity:
		return rejected422
	default:
		return rejected400
	}
}

func (r reason) String() string {
	if r < submitFull {
		return encode.Reason(r).String()
	}
	return reasonNames[r]
}

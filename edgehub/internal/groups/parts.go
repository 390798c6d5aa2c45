package groups

import (
	"bytes"
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// partsOfSeries is how many parts of a body there may be for each series that all groups may have. Each takes some
// hundred bytes once it is parsed, and two in the body.
const partsOfSeries = 16

// textParts is about how many samples and labels a text has.
func textParts(body []byte) int {
	parts := bytes.Count(body, []byte{'"'}) / 2
	for line := range bytes.Lines(body) {
		if line = bytes.TrimLeft(line, " \t\r\n"); len(line) > 0 && line[0] != '#' {
			parts++
		}
	}
	return parts
}

// The numbers of the fields that have others in them.
const (
	metricField    = 4 // of a family
	summaryField   = 4 // of a metric
	histogramField = 7 // likewise
)

// protoParts is how many metrics, labels, buckets and the like delimited families have. What makes no sense it does
// not count: whoever parses it stops there as well.
func protoParts(body []byte) (parts int) {
	for {
		size, n := binary.Uvarint(body)
		if n <= 0 || size > uint64(len(body)-n) {
			return parts
		}
		family := body[n : n+int(size)]
		body = body[n+int(size):]
		eachField(family, func(field protowire.Number, metric []byte) {
			parts++
			if field != metricField {
				return
			}
			eachField(metric, func(field protowire.Number, value []byte) {
				parts++
				if field == summaryField || field == histogramField {
					eachField(value, func(protowire.Number, []byte) { parts++ })
				}
			})
		})
	}
}

// eachField yields the fields of a message, with the bytes of those that have some.
func eachField(message []byte, yield func(field protowire.Number, value []byte)) {
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		if n = protowire.ConsumeFieldValue(field, kind, message); n < 0 {
			return
		}
		var value []byte
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(message[:n])
		}
		yield(field, value)
		message = message[n:]
	}
}

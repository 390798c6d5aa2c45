package words

import (
	"hash/crc32"
	"math"
)

// What a word is, by its top 16 bits.
const (
	tagHistogram = 0xfff4
	tagBody      = 0xfff5
	tagExemplar  = 0xfff6
	tagStart     = 0xfff7

	reserved = tagHistogram >> 2 // what the top 14 bits of all of them are
)

const (
	tagBits      = 16
	payloadBits  = 64 - tagBits
	payloadBytes = payloadBits / 8
	sumBits      = 28 // of a head's payload; the others are the length

	// MaxBytes is the length that a message may have.
	MaxBytes = 1<<(payloadBits-sumBits) - 1
	// Most is how many words may follow a sample.
	Most = 1 << 15
	// MaxStart is the latest start time, in milliseconds since the epoch.
	MaxStart = 1<<payloadBits - 1
)

// Is says whether a value is a word.
func Is(v float64) bool { return v != v && math.Float64bits(v)>>(payloadBits+2) == reserved }

// IsHistogram says whether a value is the head of a native histogram.
func IsHistogram(v float64) bool { return v != v && tagOf(v) == tagHistogram }

// Follows says whether a value is a word that belongs to the sample before it.
func Follows(v float64) bool { return Is(v) && tagOf(v) != tagHistogram }

// IsExemplar says whether a value is the head of an exemplar.
func IsExemplar(v float64) bool { return v != v && tagOf(v) == tagExemplar }

// Number is a sender's value as the log may have it: a NaN that would be a word is the ordinary one.
func Number(v float64) float64 {
	if Is(v) {
		return math.Float64frombits(0x7ff8000000000001)
	}
	return v
}

// Count is how many words a message of so many bytes takes.
func Count(bytes int) int { return 1 + bodyWords(bytes) }

func bodyWords(bytes int) int { return (bytes + payloadBytes - 1) / payloadBytes }

// AppendHistogram appends a native histogram's message, of MaxBytes at most.
func AppendHistogram(dst []float64, message []byte) []float64 {
	return appendMessage(dst, tagHistogram, message)
}

// AppendExemplar appends an exemplar's message, of MaxBytes at most.
func AppendExemplar(dst []float64, message []byte) []float64 {
	return appendMessage(dst, tagExemplar, message)
}

// Start is a start time as a word. The time is in milliseconds since the epoch, from 0 to MaxStart.
func Start(ms int64) float64 { return word(tagStart, uint64(ms)) }

func word(tag, payload uint64) float64 { return math.Float64frombits(tag<<payloadBits | payload) }

func tagOf(v float64) uint64 { return math.Float64bits(v) >> payloadBits }

func payloadOf(v float64) uint64 { return math.Float64bits(v) & (1<<payloadBits - 1) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(message []byte) uint64 { return uint64(crc32.Checksum(message, castagnoli)) >> (32 - sumBits) }

func appendMessage(dst []float64, tag uint64, message []byte) []float64 {
	dst = append(dst, word(tag, uint64(len(message))<<sumBits|sum(message)))
	for len(message) > 0 {
		var payload uint64
		n := min(payloadBytes, len(message))
		for i, b := range message[:n] {
			payload |= uint64(b) << (8 * i)
		}
		dst = append(dst, word(tagBody, payload))
		message = message[n:]
	}
	return dst
}

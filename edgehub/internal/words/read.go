package words

import "slices"

// Sample is what the words of a sample say. It keeps its memory from one Read to the next.
type Sample struct {
	Histogram []byte   // the message of a native histogram, or nil where it is a number or not whole
	Exemplars [][]byte // messages
	Start     int64    // in milliseconds since the epoch, or 0
	// Cut is how many messages were not whole, or had lost their heads.
	Cut int

	bytes []byte
}

// Read reads a sample: its value, and the words that follow it. What it returns is valid until the next Read.
func (s *Sample) Read(value float64, following []float64) {
	s.Histogram, s.Exemplars, s.Start, s.Cut = nil, s.Exemplars[:0], 0, 0
	s.bytes = slices.Grow(s.bytes[:0], payloadBytes*len(following)) // so that what was read stays where it is
	if IsHistogram(value) {
		s.Histogram, following = s.message(value, following)
	}
	for len(following) > 0 {
		head := following[0]
		following = following[1:]
		switch tagOf(head) {
		case tagStart:
			s.Start = int64(payloadOf(head))
		case tagExemplar:
			var message []byte
			if message, following = s.message(head, following); message != nil {
				s.Exemplars = append(s.Exemplars, message)
			}
		default:
			s.Cut++
			following = following[bodies(following):]
		}
	}
}

// message reads the message that a head began, or returns nil for one that is not whole.
func (s *Sample) message(head float64, following []float64) (message []byte, rest []float64) {
	length, there := int(payloadOf(head)>>sumBits), bodies(following)
	if need := bodyWords(length); need <= there {
		from := len(s.bytes)
		for _, w := range following[:need] {
			payload := payloadOf(w)
			for i := range payloadBytes {
				s.bytes = append(s.bytes, byte(payload>>(8*i)))
			}
		}
		message = s.bytes[from : from+length : from+length]
		if sum(message) == payloadOf(head)&(1<<sumBits-1) {
			return message, following[need:]
		}
	}
	s.Cut++
	return nil, following[there:]
}

// bodies is with how many words of a message a list begins.
func bodies(list []float64) (n int) {
	for n < len(list) && tagOf(list[n]) == tagBody {
		n++
	}
	return n
}

package exporter

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/exporter/internal/reason"
)

// maxRejected is how many rejections an error describes one by one.
const maxRejected = encode.MaxLeftOut

// RejectedError says which samples were left out, each for a reason of its own:
// they could not be encoded, or a hub refused them. All other samples of the
// call were not affected. It is not changed after it was returned.
type RejectedError struct {
	// Total is how many samples were left out.
	Total int
	// Samples says which, the first 100 entries at most.
	Samples []RejectedSample

	counts map[string]int // samples by reason
}

// RejectedSample says what was left out and why: a metric, a family or, if a hub
// refused it, a parcel of one gateway's samples.
type RejectedSample struct {
	Network, Gateway string // where it comes from; empty if that was not said
	Metric           string // the family's name, sanitised; empty for a parcel
	Label            string // the name of the label at fault, if there is one
	Count            int    // how many samples were left out with it, at least 1
	Reason           string // as in the metric hubring_exporter_samples_dropped_total
	Hub, Detail      string // which hub refused it, and its words; else empty
}

// rejection is what an encoder left out; nil if that is nothing.
func rejection(enc *encode.Encoder) *RejectedError {
	if len(enc.LeftOut) == 0 {
		return nil
	}
	e := &RejectedError{Samples: make([]RejectedSample, len(enc.LeftOut)), counts: map[string]int{}}
	for i, l := range enc.LeftOut {
		e.Samples[i] = RejectedSample{ // its strings are copies: an error may be kept for long
			Network: strings.Clone(l.Network), Gateway: strings.Clone(l.Gateway), Metric: strings.Clone(l.Metric), Label: strings.Clone(l.Label),
			Count: l.Samples, Reason: l.Reason.String(),
		}
	}
	for why := range enc.Dropped {
		if d := &enc.Dropped[why]; d.First.Reason != reason.Taken {
			e.Total += d.Samples
			e.counts[d.First.Reason.String()] = d.Samples
		}
	}
	return e
}

// Error implements error. It is one line of bounded length: the total, the first
// rejection, and how many samples there are by reason.
func (e *RejectedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d samples are rejected", e.Total)
	if len(e.Samples) == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, ", the first %s", &e.Samples[0])
	if len(e.counts) == 0 {
		return b.String()
	}
	b.WriteString("; by reason:")
	often := slices.SortedFunc(maps.Keys(e.counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(e.counts[b], e.counts[a]), cmp.Compare(a, b))
	})
	for i, word := range often {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %s %d", word, e.counts[word])
	}
	return b.String()
}

// String is for the middle of a message.
func (s *RejectedSample) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", s.Count)
	say := func(what, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s %s", what, reason.Quoted(value))
		}
	}
	say("of metric", s.Metric)
	say("of gateway", s.Gateway)
	say("of network", s.Network)
	say("with label", s.Label)
	b.WriteString(": " + s.Reason)
	say("by hub", s.Hub)
	say("saying", s.Detail)
	return b.String()
}

// add takes note of one rejection. A nil e is replaced by a new error.
func (e *RejectedError) add(s RejectedSample) *RejectedError {
	if e == nil {
		e = &RejectedError{counts: map[string]int{}}
	}
	e.Total += s.Count
	e.counts[s.Reason] += s.Count
	if len(e.Samples) < maxRejected {
		e.Samples = append(e.Samples, s)
	}
	return e
}

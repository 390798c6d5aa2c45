package account

import (
	"fmt"
	"strconv"
)

// Result is the account of a run. All figures are samples unless they say
// otherwise.
type Result struct {
	Submitted uint64 // by the senders' own record
	Repeated  uint64 // of these, submitted again with the same series and time
	Stored    uint64 // distinct, in at least one shard
	Died      uint64 // in no shard, held by a hub when it was killed
	Lost      Finding

	Copies    uint64  // stored again in another shard, harmless when equal
	Conflicts Finding // copies whose values differ
	Altered   Finding // the value is not the one that was submitted
	Foreign   Finding // in a shard, but not submitted
	Guests    Finding // not submitted either, but of a gateway that is not ours: no fault

	GatewaySeries int // distinct series with a gatewayID that are present in the union
	Shards        []Shard
	Sources       []*Source // in the order in which they were defined
}

// Shard is one shard's part.
type Shard struct {
	Series, Samples int
	Died            int // with the shard's hub
}

// Source is how many samples of one source are in each shard.
type Source struct {
	Name    string
	Gateway bool
	In      []int
}

// Home is the shard that has most of the source's samples, or -1 for none.
func (s *Source) Home() int { return largest(s.In, -1) }

// TakenBy is the shard beside home that has most of the source's samples, or -1.
func (s *Source) TakenBy(home int) int { return largest(s.In, home) }

func largest(counts []int, except int) int {
	best := -1
	for i, n := range counts {
		if i != except && n > 0 && (best < 0 || n > counts[best]) {
			best = i
		}
	}
	return best
}

// Finding is a number of samples with the first few series as examples.
type Finding struct {
	Samples  uint64
	Examples []string
}

const maxExamples = 3

func (f *Finding) add(key string, n int) {
	f.Samples += uint64(n)
	if last := len(f.Examples); last < maxExamples && (last == 0 || f.Examples[last-1] != key) {
		f.Examples = append(f.Examples, key)
	}
}

func (f *Finding) String() string {
	if len(f.Examples) == 0 {
		return strconv.FormatUint(f.Samples, 10)
	}
	return fmt.Sprintf("%d (such as of %s)", f.Samples, f.Examples[0])
}

// Checks is what the rest of the demo measured, to be compared with the Result.
type Checks struct {
	// ExporterSubmitted is the exporter's own count.
	ExporterSubmitted uint64
	// Counted is the query API's answer to count({gatewayID!=""}) at the end.
	Counted int
	// MostTwice is the largest excess over the series that exist which a query
	// gave during the run.
	MostTwice int
	// Gap is the largest number of series that a query during the run lacked
	// after all had been seen.
	Gap int
}

// Twice is how many series the query API counted more than once, at the end or
// during the run.
func (r *Result) Twice(c Checks) int { return max(c.Counted-r.GatewaySeries, c.MostTwice, 0) }

// Faults says in sentences what is wrong. None means that every sample is
// accounted for.
func (r *Result) Faults(c Checks) []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if r.Lost.Samples > 0 {
		fault("%s submitted samples are in no shard and were in no killed hub", &r.Lost)
	}
	if n := r.Twice(c); n > 0 {
		fault(`%d series were counted twice by count({gatewayID!=""})`, n)
	}
	if n := max(r.GatewaySeries-c.Counted, c.Gap); n > 0 {
		fault(`%d series that are in the shards were left out by count({gatewayID!=""})`, n)
	}
	if r.Conflicts.Samples > 0 {
		fault("%s samples have different values in two shards", &r.Conflicts)
	}
	if r.Altered.Samples > 0 {
		fault("%s samples have another value than the one submitted", &r.Altered)
	}
	if r.Foreign.Samples > 0 {
		fault("%s samples are in the shards, but nobody submitted them", &r.Foreign)
	}
	if c.ExporterSubmitted != r.Submitted {
		fault("the exporter counted %d submitted samples, the fleet %d", c.ExporterSubmitted, r.Submitted)
	}
	if sum := r.Stored + r.Died + r.Lost.Samples + r.Repeated; sum != r.Submitted {
		fault("the account does not add up: %d submitted, but %d stored + %d died + %d lost + %d repeated = %d",
			r.Submitted, r.Stored, r.Died, r.Lost.Samples, r.Repeated, sum)
	}
	return faults
}

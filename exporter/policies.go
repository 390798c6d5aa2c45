package exporter

import (
	"fmt"
	"slices"
	"strings"
)

// OverflowPolicy says what becomes of samples when MaxQueueBytes are in use.
type OverflowPolicy int

const (
	// RefuseNew makes Submit return ErrQueueFull, and what is queued stays. The last
	// quarter is for those who have little: what waits for a hub of each has a part
	// that nobody else takes, and a gateway has no more than twice an even share of its hub's.
	RefuseNew OverflowPolicy = iota
	// DropOldest lets the oldest samples of who has most make room, of the hub first
	// and then of the gateway, counted as dropped with the reason queue_overflow. Submit
	// returns ErrQueueFull if even that would not do.
	DropOldest
)

// String is the word for it: refuse_new or drop_oldest.
func (p OverflowPolicy) String() string { return overflowWords.string(int(p)) }

// MarshalText implements encoding.TextMarshaler by String.
func (p OverflowPolicy) MarshalText() ([]byte, error) { return overflowWords.marshal(int(p)) }

// UnmarshalText implements encoding.TextUnmarshaler, for files and for flag.TextVar. After an error
// *p is as it was.
func (p *OverflowPolicy) UnmarshalText(text []byte) error {
	i, err := overflowWords.parse(text)
	if err == nil {
		*p = OverflowPolicy(i)
	}
	return err
}

// SpoolPolicy says what goes to SpoolDir.
type SpoolPolicy int

const (
	// SpoolOverflow writes what memory has no room for, and what is left when Run ends. A crash
	// loses what was in memory.
	SpoolOverflow SpoolPolicy = iota
	// SpoolAll writes all samples, and Submit returns nil when they are there: a controller that is
	// killed, or a machine that loses its power (as far as the disk keeps what it says it has), loses nothing that a Submit returned
	// nil for, and the next Run sends it. What had been delivered shortly before may be sent twice, with the same timestamps.
	//
	// So Submit waits for the disk: for one write and one sync, which those share that wait at the same
	// time. A disk that fails makes it return ErrNotKept, one that is full ErrQueueFull, or the oldest
	// samples there make room with DropOldest. Samples stay in memory as well while they fit. On disk a record, one gateway's
	// samples of one Submit, is never joined with others. SpoolBytes has to hold what is submitted while
	// the oldest sample waits, also if only few do: a file goes when all in it is sent.
	SpoolAll
)

// String is the word for it: overflow or all.
func (p SpoolPolicy) String() string { return spoolWords.string(int(p)) }

// MarshalText implements encoding.TextMarshaler by String.
func (p SpoolPolicy) MarshalText() ([]byte, error) { return spoolWords.marshal(int(p)) }

// UnmarshalText implements encoding.TextUnmarshaler, for files and for flag.TextVar. After an error
// *p is as it was.
func (p *SpoolPolicy) UnmarshalText(text []byte) error {
	i, err := spoolWords.parse(text)
	if err == nil {
		*p = SpoolPolicy(i)
	}
	return err
}

// FailoverPolicy says where the samples of a hub go that is down.
type FailoverPolicy int

const (
	// NextHub sends them to the next living hub of each gateway's own walk. They arrive
	// in time. For a while a gateway's series are on two Prometheus servers;
	// Thanos counts them once if the shard's label is a replica label.
	NextHub FailoverPolicy = iota
	// WaitForOwner lets them wait in the queue, so that each series stays on
	// one server; but an outage that is longer than what the queue holds loses
	// samples.
	WaitForOwner
)

// String is the word for it: next_hub or wait_for_owner.
func (p FailoverPolicy) String() string { return failoverWords.string(int(p)) }

// MarshalText implements encoding.TextMarshaler by String.
func (p FailoverPolicy) MarshalText() ([]byte, error) { return failoverWords.marshal(int(p)) }

// UnmarshalText implements encoding.TextUnmarshaler, for files and for flag.TextVar. After an error
// *p is as it was.
func (p *FailoverPolicy) UnmarshalText(text []byte) error {
	i, err := failoverWords.parse(text)
	if err == nil {
		*p = FailoverPolicy(i)
	}
	return err
}

// Receivers says whose answers count.
type Receivers int

const (
	// HubsOnly believes hubs, whose answers have the header Hubring-Hub. Anybody else
	// at a hub's address is no receiver: samples go to the next one.
	HubsOnly Receivers = iota
	// HubsAndOthers also believes answers that are to the letter those of
	// prometheus-edge-hub 1.1: an empty 200 without a type takes samples, a 400 with its
	// parser's words refuses them. A program that answers all pushes so and throws them
	// away is not noticed. A Pushgateway takes no samples with timestamps, and is never
	// believed.
	HubsAndOthers
)

// String is the word for it: hubs_only or hubs_and_others.
func (p Receivers) String() string { return receiverWords.string(int(p)) }

// MarshalText implements encoding.TextMarshaler by String.
func (p Receivers) MarshalText() ([]byte, error) { return receiverWords.marshal(int(p)) }

// UnmarshalText implements encoding.TextUnmarshaler, for files and for flag.TextVar. After an error
// *p is as it was.
func (p *Receivers) UnmarshalText(text []byte) error {
	i, err := receiverWords.parse(text)
	if err == nil {
		*p = Receivers(i)
	}
	return err
}

// policyWords are the words of a policy's values, in their order.
type policyWords struct {
	of    string
	words []string
}

var (
	overflowWords = policyWords{"OverflowPolicy", []string{"refuse_new", "drop_oldest"}}
	spoolWords    = policyWords{"SpoolPolicy", []string{"overflow", "all"}}
	failoverWords = policyWords{"FailoverPolicy", []string{"next_hub", "wait_for_owner"}}
	receiverWords = policyWords{"Receivers", []string{"hubs_only", "hubs_and_others"}}
)

func (w policyWords) string(i int) string {
	if i < 0 || i >= len(w.words) {
		return fmt.Sprintf("%s(%d)", w.of, i)
	}
	return w.words[i]
}

func (w policyWords) marshal(i int) ([]byte, error) {
	if i < 0 || i >= len(w.words) {
		return nil, fmt.Errorf("exporter: %s has no word", w.string(i))
	}
	return []byte(w.words[i]), nil
}

func (w policyWords) parse(text []byte) (int, error) {
	i := slices.Index(w.words, string(text))
	if i < 0 {
		return 0, fmt.Errorf("exporter: %s %.100q: use %s", w.of, text, strings.Join(w.words, " or "))
	}
	return i, nil
}

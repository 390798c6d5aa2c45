package queue

import (
	"github.com/hubring/hubring/exporter/internal/reason"
)

// Receipt is what a Push waits for: the fate of each of its parcels. The queue's
// mutex guards it until done is closed. A nil one is nobody's.
type Receipt struct {
	left    int           // parcels whose fate is not known
	samples int           // of those
	refused func(Refusal) // is told with the mutex
	NotSent int           // samples
	Done    chan struct{}
}

// Refusal is what a hub said of a parcel that it refused.
type Refusal struct {
	Gateway     string
	Samples     int
	Why         reason.Reason
	Hub, Detail string
}

// NewReceipt returns one that says what hubs refuse.
func NewReceipt(parcels []*Parcel, refused func(Refusal)) *Receipt {
	r := &Receipt{left: len(parcels), refused: refused, Done: make(chan struct{})}
	for _, p := range parcels {
		r.samples += p.Samples
	}
	if r.left == 0 {
		close(r.Done)
	}
	return r
}

func (r *Receipt) acknowledged(p *Parcel) {
	if r != nil {
		r.oneLess(p.Samples)
	}
}

func (r *Receipt) rejected(f Refusal) {
	if r != nil {
		r.refused(f)
		r.oneLess(f.Samples)
	}
}

func (r *Receipt) lost(p *Parcel) {
	if r != nil {
		r.NotSent += p.Samples
		r.oneLess(p.Samples)
	}
}

func (r *Receipt) oneLess(samples int) {
	r.samples -= samples
	if r.left--; r.left == 0 {
		close(r.Done)
	}
}

// WaitingFor returns how many samples of a Push are not settled.
func (q *Queue) WaitingFor(ack *Receipt) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return ack.samples
}

package samples

import (
	"fmt"
	"slices"
)

// account is what the log knows of one gateway. The log's lock guards it.
type account struct {
	held     int      // samples in the log's segments, but for those that are released
	arriving int      // samples of the push that is being admitted
	last     *segment // the newest that holds samples of it, or nil
	pushed   int64    // when a push of it was last taken in, in milliseconds since the epoch
	lastRun  int32    // its place in last.runs
	runs     int32    // in segments
	due      uint32   // tick from which on the time of its first sample is to be written; 0 while it is not here
	spacing  uint32   // the least time between two samples of a series in milliseconds, about
}

// accountLocked returns the account of the gateway with a number, from 1. It stays where
// it is until another one is asked for.
func (l *Log) accountLocked(gateway uint32) *account {
	if int(gateway) > len(l.accounts) {
		l.growLocked(int(gateway))
	}
	return &l.accounts[gateway-1]
}

func (l *Log) growLocked(n int) {
	l.accounts = slices.Grow(l.accounts, n-len(l.accounts))[:n]
	l.lives = slices.Grow(l.lives, n-len(l.lives))[:n]
}

// Holds says whether samples of a gateway are in the log, or were a moment ago. One of
// which none are may lose its number to another gateway.
func (l *Log) Holds(gateway uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accountLocked(gateway).runs > 0
}

// Pushed returns when pushes of gateways were last taken in, in milliseconds since the
// epoch, by their numbers; 0 for never.
func (l *Log) Pushed(gateways []uint32) []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	times := make([]int64, len(gateways))
	for i, g := range gateways {
		times[i] = l.accountLocked(g).pushed
	}
	return times
}

// FullError is the reason to refuse a push for want of room.
type FullError struct {
	Reason  string // in one word
	Gateway uint32 // whose share it is about, or 0
	text    string
}

func (e *FullError) Error() string { return e.text }

// The last part of the log's room, one of reserved, is kept for gateways that hold
// no more than fairShare times their even share of the room. So one that floods
// stops short of shutting the others out, and a hub that is simply full, of one
// gateway or of a thousand like ones, keeps nobody from the rest.
const (
	reserved  = 8
	fairShare = 2
)

// fairLocked checks, when room is scarce, that none of the runs' gateways takes what
// is kept for the others.
func (l *Log) fairLocked(runs []Run) error {
	active := l.holding
	for _, r := range runs {
		a := l.accountLocked(r.Gateway)
		if a.held+a.arriving == 0 {
			active++
		}
		a.arriving += r.Samples
	}
	share := fairShare * l.limit / max(active, 1)
	var err error
	for _, r := range runs {
		a := l.accountLocked(r.Gateway)
		if held := a.held; err == nil && a.arriving > 0 && held+a.arriving > share {
			held -= l.passedLocked(r.Gateway) // which takes a search
			if held+a.arriving > share {
				err = &FullError{"gateway_share", r.Gateway, fmt.Sprintf(
					"holds %d samples that wait to be scraped, this push brings %d, and twice its even share is %d", held, a.arriving, share)}
			}
		}
		a.arriving = 0
	}
	return err
}

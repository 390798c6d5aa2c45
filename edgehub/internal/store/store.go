package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
)

// Config says how large a store may be, and how long it remembers.
type Config struct {
	Series     series.Limits
	Samples    int           // that may wait for a scraper
	Newest     bool          // when that many wait, let the oldest go
	IdleSeries time.Duration // after which a series is forgotten
	Scrapers   []string
	Times      samples.Times // of samples that a server will take
	Own        *series.Own   // what the store itself writes when a gateway comes: the time of its first sample, in seconds; nil for nothing
	EndsAfter  int           // of its own intervals a gateway that is silent is ended; 0 for never
}

// Store holds the series and samples. Its methods may be called from any goroutine.
type Store struct {
	Log *samples.Log

	idle      time.Duration
	table     atomic.Pointer[series.Table]
	made      time.Time
	lastSweep atomic.Int64 // when series were last expired, a time.Duration since it was made, as the next
	endsAfter int
	lastLook  atomic.Int64 // when silent gateways were last looked for
	expired   atomic.Uint64
	conflicts atomic.Uint64
	sealers   sync.WaitGroup
	lastFreed atomic.Int64 // when memory was last given back
	limits    series.Limits
	newest    bool
	disk      *disk // nil where the log is in memory alone
}

// New makes an empty store.
func New(cfg Config) *Store {
	s := &Store{Log: samples.New(cfg.Samples, cfg.Newest, cfg.Scrapers), idle: cfg.IdleSeries, endsAfter: cfg.EndsAfter, limits: cfg.Series, newest: cfg.Newest, made: time.Now()}
	s.Log.Bound(cfg.Times)
	s.table.Store(series.NewTable(cfg.Series, cfg.Own))
	s.lastLook.Store(int64(-lookEvery))
	s.lastFreed.Store(int64(-freeEvery))
	return s
}

// due says whether something that is done now and then is due after so long, and if so that it is done now. It goes by the time
// that passes, whatever the clock is set to.
func (s *Store) due(last *atomic.Int64, every time.Duration, now time.Time) bool {
	was, since := last.Load(), int64(now.Sub(s.made))
	return since-was >= int64(every) && last.CompareAndSwap(was, since)
}

// Table is the table that there is now. A batch keeps to one from Reset to Commit.
func (s *Store) Table() *series.Table { return s.table.Load() }

// Expired is the number of series that were forgotten.
func (s *Store) Expired() uint64 { return s.expired.Load() }

// Conflicts is the number of TYPE lines that contradicted the type of a family.
func (s *Store) Conflicts() uint64 { return s.conflicts.Load() }

// FullError is the reason to refuse a batch for want of room.
type FullError struct {
	Reason string // in one word
	text   string
}

func (e *FullError) Error() string { return e.text }

// Commit takes a batch that was read with the table t, all or nothing. Its error is a
// *FullError, or series.ErrReplaced, and then the batch is to be read again. Where samples of
// other batches have waited for long it has them sealed, and does not wait for that.
func (s *Store) Commit(t *series.Table, b *Batch, now time.Time) (samples.Made, error) {
	var m samples.Made
	var err error
	if s.disk == nil {
		m, err = s.commit(t, b, now)
	} else {
		m, err = s.disk.commit(t, b, now)
	}
	if s.Log.ToSeal(now) {
		s.sealers.Go(func() { s.seal(now) })
	}
	return m, err
}

// Close waits for what Commit has begun, and closes what is on disk. Call it when nobody commits any more.
func (s *Store) Close() {
	if s.disk != nil {
		s.disk.stop()
		s.disk.ended.Wait()
	}
	s.sealers.Wait()
}

// Refuses is why pushes are refused because of the disk, a *StorageError, or nil.
func (s *Store) Refuses() error {
	if s.disk == nil {
		return nil
	}
	return s.disk.refuses()
}

// Reads is why nothing can be read yet since it is still to be read from disk, a *StorageError, or nil.
func (s *Store) Reads() error {
	if s.disk == nil {
		return nil
	}
	select {
	case <-s.disk.ready:
		return nil
	default:
		return s.disk.refuses()
	}
}

// OnDisk is what is known of the log on disk.
type OnDisk struct {
	Segments             int
	Bytes                int64
	Failures             uint64
	Replayed, Lost, Torn uint64 // samples that were read at the start, that could not be, and ends that were cut
}

// Disk returns what is known of the log on disk, and whether there is one.
func (s *Store) Disk() (o OnDisk, is bool) {
	if s.disk == nil {
		return OnDisk{}, false
	}
	o = OnDisk{Replayed: s.disk.replayed.Load(), Lost: s.disk.lost.Load(), Torn: s.disk.torn.Load()}
	if j := s.disk.open.Load(); j != nil {
		o.Segments, o.Bytes = j.Size()
		o.Failures = j.Failures()
	}
	return o, true
}

func (s *Store) commit(t *series.Table, b *Batch, now time.Time) (m samples.Made, err error) {
	if len(b.Names.List) == 0 && !b.Handed {
		m, err = s.Log.Append(t.Generation, &b.Columns, b.Runs, now)
		return m, full(t, err)
	}
	err = t.Learn(&b.Names, now, func() (err error) {
		b.assignRuns()
		m, err = s.Log.Reserve(t.Generation, b.Len(), b.Runs)
		return err
	}, s.Log.Arrive)
	if err == nil {
		s.conflicts.Add(uint64(b.Names.Conflicts))
		b.assignNumbers()
		err = s.write(t, b, now)
	}
	return m, full(t, err)
}

// write takes a batch for which room was reserved.
func (s *Store) write(t *series.Table, b *Batch, now time.Time) error {
	if !b.Handed {
		return s.Log.Write(t.Generation, &b.Columns, b.Runs, now)
	}
	_, err := s.Log.Publish(t.Generation, []samples.Arrived{{Columns: &b.Columns, Runs: b.Runs, Time: now, Handed: true}})
	if err != nil {
		s.Log.GiveBack(b.Len())
	}
	return err
}

// full says in one way what names and samples say in two.
func full(t *series.Table, err error) error {
	if err == nil {
		return nil
	}
	if f := (*series.FullError)(nil); errors.As(err, &f) {
		return &FullError{f.Reason, f.Error()}
	}
	if f := (*samples.FullError)(nil); errors.As(err, &f) {
		if f.Gateway == 0 {
			return &FullError{f.Reason, f.Error()}
		}
		return &FullError{f.Reason, fmt.Sprintf("the hub has little room left and keeps it for others: %s %s", series.Called(t.GatewayName(f.Gateway)), f)}
	}
	return err
}

// Read returns what a cursor has not passed, up to a position or the end, and the ranking
// of the series that the samples are of.
func (s *Store) Read(c *samples.Cursor, until uint64) (samples.View, *series.Ranking) {
	return s.read(func(generation uint64) (samples.View, bool) { return s.Log.Read(c, until, generation) })
}

// Peek returns what a part of a scraper has not passed, likewise.
func (s *Store) Peek(scraper, part, parts int) (samples.View, *series.Ranking) {
	return s.read(func(generation uint64) (samples.View, bool) { return s.Log.Peek(scraper, part, parts, generation) })
}

// ReadWaiting returns what some cursor has not passed, likewise.
func (s *Store) ReadWaiting() (samples.View, *series.Ranking) {
	return s.read(s.Log.ReadWaiting)
}

func (s *Store) read(view func(generation uint64) (samples.View, bool)) (samples.View, *series.Ranking) {
	for {
		t := s.table.Load()
		if v, ok := view(t.Generation); ok {
			return v, t.Ranked()
		}
	}
}

// Gateway is what the store knows of one.
type Gateway struct {
	Name   string
	Series int
	Pushed int64 // when a push of it was last taken in, in milliseconds since the epoch
}

// Gateways returns the gateways with a name of which a push was taken in. It holds locks
// for a few of them at a time.
func (s *Store) Gateways() []Gateway {
	const step = 512
	t := s.Table()
	var all []Gateway
	var part []series.Gateway
	for from, more := 0, true; more; from += step {
		part, more = t.Gateways(part[:0], from, from+step)
		numbers := make([]uint32, len(part))
		for i := range part {
			numbers[i] = part[i].Number
		}
		for i, pushed := range s.Log.Pushed(numbers) {
			if pushed != 0 {
				all = append(all, Gateway{part[i].Name, part[i].Series, pushed})
			}
		}
	}
	return all
}

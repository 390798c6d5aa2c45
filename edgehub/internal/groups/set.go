package groups

import (
	"hash/maphash"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/hubring/hubring/internal/framing"
)

// Limits bound what a Set holds.
type Limits struct {
	Groups      int
	Series      int   // of all groups
	Bytes       int64 // likewise, as protobuf
	SeriesBytes int   // of one series, name and labels, and of a help
	Labels      int   // of one series
}

// Config says what a Set holds, and where.
type Config struct {
	Limits   Limits
	TTL      time.Duration // after its last push a group goes; 0 for never
	Reserved []string      // names that nobody may push
	Dir      string        // in which groups are files as well; empty for none
	Sync     bool          // a push waits until its file survives a loss of power
	Disk     framing.Disk  // nil means the real one
	Logger   *slog.Logger
}

// Group is the labels and families of one group. It does not change; a push puts another one in its place.
type Group struct {
	Labels   Labels
	Families []*Family      // by name
	Pushed   time.Time      // when a push was taken last, or the zero time
	Failed   time.Time      // when one was refused last, likewise
	TTL      *time.Duration // its own; nil for that of the Config

	series int
	bytes  int64
}

// Push is one push to a group.
type Push struct {
	Labels   Labels
	Families []*dto.MetricFamily // as Decode returns them; taken
	Replace  bool                // the whole group, and not only families of the same names
	TTL      *time.Duration      // of the group until its next push; nil for that of the Config
}

// Set is all groups. Its methods may be called from any goroutine; Open comes first, and has to succeed.
type Set struct {
	Counts Counts

	cfg  Config
	seed maphash.Seed
	turn chan struct{} // held by who changes something, the disk included

	// Guarded by turn.
	index    index
	swept    time.Time
	expiring bool // there may be groups that go by themselves

	opened atomic.Bool // what is on disk is here

	mu     sync.RWMutex // guards the rest, never while the disk is written
	groups map[string]*Group
	series int
	bytes  int64
}

// Counts are what became of groups.
type Counts struct {
	Expired atomic.Uint64 // groups that were too old
	Lost    atomic.Uint64 // files that could not be read
}

// slowAfter is how long a push waits for others and the disk.
const slowAfter = 2 * time.Second

// New returns an empty set. It starts nothing.
func New(cfg Config) *Set {
	if cfg.Disk == nil {
		cfg.Disk = framing.OS{}
	}
	s := &Set{cfg: cfg, seed: maphash.MakeSeed(), turn: make(chan struct{}, 1), groups: map[string]*Group{}}
	s.index.init()
	return s
}

// Open reads what is on disk, the first time that it succeeds. Nobody else may have the directory.
func (s *Set) Open() error {
	if s.cfg.Dir == "" || s.opened.Load() {
		return nil
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if s.opened.Load() {
		return nil
	}
	if err := s.load(); err != nil {
		return broken(err)
	}
	s.opened.Store(true)
	return nil
}

// enter waits for the turn, while the disk is not too slow.
func (s *Set) enter() *RefusedError {
	select {
	case s.turn <- struct{}{}:
		return nil
	default:
	}
	wait := time.NewTimer(slowAfter)
	defer wait.Stop()
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-wait.C:
		return &RefusedError{Broken, StorageSlow, "pushes to groups wait for the disk for more than " + slowAfter.String()}
	}
}

func (s *Set) leave() { <-s.turn }

// Push takes in a push, all of it or nothing. A push that is refused for what is in it is noted as the
// group's last failure. Its error is a *RefusedError.
func (s *Set) Push(p Push, now time.Time) error {
	c := checker{s.cfg.Limits, s.cfg.Reserved, p.Labels, s.seed}
	families, refused := c.families(p.Families)
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if refused == nil {
		refused = s.push(p, families, now)
		if refused != nil && refused.Kind != Broken && s.sweep(now) > 0 {
			refused = s.push(p, families, now)
		}
	}
	if refused == nil {
		return nil
	}
	if refused.Kind == Bad {
		s.fail(p.Labels, now)
	}
	return refused
}

// push puts a group in the place of what it was.
func (s *Set) push(p Push, families []*Family, now time.Time) *RefusedError {
	key := p.Labels.Key()
	was := s.groups[key]
	g := &Group{Labels: p.Labels, Pushed: now, TTL: p.TTL, Families: families}
	var replaced []*Family
	if was != nil {
		g.Failed = was.Failed
		var kept []*Family
		if kept, replaced = was.part(families, p.Replace); len(kept) > 0 {
			g.Families = slices.Concat(kept, families)
		}
	}
	slices.SortFunc(g.Families, func(a, b *Family) int { return strings.Compare(a.Name, b.Name) })
	record := g.measure()
	if err := s.fits(was, g); err != nil {
		return err
	}
	if err := s.index.replace(replaced, families); err != nil {
		return err
	}
	if err := s.store(key, record); err != nil {
		if s.index.replace(families, replaced) != nil {
			panic("BUG: what a group had does not fit any more")
		}
		return err
	}
	s.set(key, was, g)
	return nil
}

// part says which families a push leaves and which it replaces.
func (g *Group) part(by []*Family, all bool) (kept, replaced []*Family) {
	names := make(map[string]bool, len(by))
	for _, f := range by {
		names[f.Name] = true
	}
	for _, f := range g.Families {
		if all || names[f.Name] {
			replaced = append(replaced, f)
		} else {
			kept = append(kept, f)
		}
	}
	return kept, replaced
}

// fits says whether there is room for a group in the place of another one, which may be nil.
func (s *Set) fits(was, g *Group) *RefusedError {
	groups, series, bytes := len(s.groups)+1, s.series+g.series, s.bytes+g.bytes
	if was != nil {
		groups, series, bytes = groups-1, series-was.series, bytes-was.bytes
	}
	l := s.cfg.Limits
	switch {
	case was == nil && groups > l.Groups:
		return full(ManyGroups, "there are %d groups, which is the limit; delete some, or give them a time to live", groups-1)
	case series > l.Series && (was == nil || g.series > was.series):
		return full(ManySeries, "the groups would have %d series, and the limit is %d", series, l.Series)
	case bytes > l.Bytes && (was == nil || g.bytes > was.bytes), g.bytes > maxGroupBytes:
		return full(ManyBytes, "the groups would have %d bytes, and the limit is %d", bytes, l.Bytes)
	}
	return nil
}

// set makes g what is under a key, or with nil nothing.
func (s *Set) set(key string, was, g *Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was != nil {
		s.series -= was.series
		s.bytes -= was.bytes
	}
	if g == nil {
		delete(s.groups, key)
		return
	}
	s.groups[key] = g
	s.series += g.series
	s.bytes += g.bytes
	s.expiring = s.expiring || s.ttl(g) > 0
}

// fail notes that a push to a group was refused. Where there is no room for that, the answer has to do.
func (s *Set) fail(labels Labels, now time.Time) {
	key := labels.Key()
	was := s.groups[key]
	g := &Group{Labels: labels}
	if was != nil {
		*g = *was
	}
	g.Failed = now
	record := g.measure()
	if s.fits(was, g) == nil && s.store(key, record) == nil {
		s.set(key, was, g)
	}
}

// Delete deletes a group. One that is not there is deleted.
func (s *Set) Delete(labels Labels) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	key := labels.Key()
	if g := s.groups[key]; g != nil {
		if err := s.remove(key, g); err != nil {
			return err
		}
	}
	if err := s.syncDir(); err != nil {
		return err
	}
	return nil
}

// DeleteIf deletes the groups with labels that match, and returns how many. After an error some are deleted.
func (s *Set) DeleteIf(match func(Labels) bool) (deleted int, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	for key, g := range s.groups {
		if !match(g.Labels) {
			continue
		}
		if err := s.remove(key, g); err != nil {
			return deleted, err
		}
		deleted++
	}
	if err := s.syncDir(); err != nil {
		return deleted, err
	}
	return deleted, nil
}

func (s *Set) remove(key string, g *Group) *RefusedError {
	if err := s.unlink(key); err != nil {
		return err
	}
	for _, f := range g.Families {
		s.index.remove(f)
	}
	s.set(key, g, nil)
	return nil
}

// ttl is how long a group stays after its last push; 0 for ever.
func (s *Set) ttl(g *Group) time.Duration {
	if g.TTL != nil {
		return *g.TTL
	}
	return s.cfg.TTL
}

// old says whether the time of a group is over. One that was only refused so far counts from then.
func (s *Set) old(g *Group, now time.Time) bool {
	ttl, since := s.ttl(g), g.Pushed
	if since.IsZero() {
		since = g.Failed
	}
	return ttl > 0 && !now.Before(since.Add(ttl))
}

// sweepEvery bounds how often all groups are looked at.
const sweepEvery = time.Second

// sweep deletes the groups whose time is over.
func (s *Set) sweep(now time.Time) (deleted int) {
	if !s.expiring || now.Sub(s.swept).Abs() < sweepEvery {
		return 0
	}
	s.swept = now
	for key, g := range s.groups {
		if s.old(g, now) && s.remove(key, g) == nil {
			deleted++
		}
	}
	s.Counts.Expired.Add(uint64(deleted))
	return deleted
}

// Sweep deletes the groups whose time is over, unless somebody else changes something.
func (s *Set) Sweep(now time.Time) {
	select {
	case s.turn <- struct{}{}:
		defer s.leave()
		s.sweep(now)
	default:
	}
}

// Size is how many groups there are, their series and their bytes.
func (s *Set) Size() (groups, series int, bytes int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.groups), s.series, s.bytes
}

// All returns the groups whose time is not over, in the order of their labels.
func (s *Set) All(now time.Time) []*Group {
	s.mu.RLock()
	all := make([]*Group, 0, len(s.groups))
	for _, g := range s.groups {
		if !s.old(g, now) {
			all = append(all, g)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b *Group) int {
		return slices.CompareFunc(a.Labels, b.Labels, func(a, b Label) int {
			if c := strings.Compare(a.Name, b.Name); c != 0 {
				return c
			}
			return strings.Compare(a.Value, b.Value)
		})
	})
	return all
}

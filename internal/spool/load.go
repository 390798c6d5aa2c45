package spool

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hubring/hubring/internal/framing"
)

// load finds what a former run left. Nobody else has the Store yet.
func (s *Store) load() error {
	entries, err := os.ReadDir(s.cfg.Dir) // by name, and so by number
	if err != nil {
		return err
	}
	buf := make([]byte, framing.WindowBytes)
	for _, e := range entries {
		number, ok := framing.ParseSegmentName(e.Name())
		if !ok {
			continue
		}
		s.next = number + 1
		s.loadSegment(e, number, buf)
	}
	return nil
}

// loadSegment takes in one file with the name of a segment, as the package document
// says.
func (s *Store) loadSegment(e fs.DirEntry, number uint64, buf []byte) {
	path := filepath.Join(s.cfg.Dir, e.Name())
	info, err := e.Info()
	if err != nil || !info.Mode().IsRegular() { // a pipe would keep its reader waiting
		s.report(framing.Loss{}, fmt.Errorf("%s is not a segment: %w: not a regular file", path, ErrCorrupt))
		return
	}
	g := &segment{number: number, path: path, size: info.Size()}
	f, err := s.fs.Open(path)
	if err != nil {
		s.leave(g, framing.Loss{Records: 1, Bytes: g.size}, fmt.Errorf("open segment: %w", err))
		return
	}
	defer func() { _ = f.Close() }() // only read from
	sc := framing.NewScanner(f, g.size, number, buf)
	begin, err := sc.Head()
	if err != nil {
		s.leave(g, framing.Loss{Records: 1, Bytes: g.size}, fmt.Errorf("read segment: %w", err))
		return
	}
	version, intact := framing.ParseSegmentHeader(begin, segmentMagic, number)
	switch {
	case g.size < framing.SegmentHeader:
		s.loadStub(g, begin)
	case intact && version > segmentVersion:
		s.leave(g, framing.Loss{}, fmt.Errorf("segment %s: %w: it has %d, this program reads %d", path, ErrVersion, version, segmentVersion))
	default:
		s.loadRecords(g, sc, intact && version == segmentVersion)
	}
}

// loadStub removes what a crash at the beginning of a segment left.
func (s *Store) loadStub(g *segment, begin []byte) {
	if !bytes.HasPrefix(framing.NewSegmentHeader(segmentMagic, segmentVersion, g.number), begin) {
		s.foreign(g)
		return
	}
	if g.size > 0 {
		s.report(framing.Loss{Bytes: g.size}, fmt.Errorf("segment %s: %w: it ends within its header", g.path, ErrCorrupt))
	}
	s.keep(g)
}

// loadRecords takes in the records of a segment. intact says that its header is good; without it
// the records themselves tell that the file is ours.
func (s *Store) loadRecords(g *segment, sc *framing.Scanner, intact bool) {
	before := len(s.found)
	sc.Visit = func(h framing.Header) {
		if !h.Done {
			s.found = append(s.found, h.Ref)
		}
	}
	err := sc.Run()
	if !intact && sc.Good == 0 && err == nil {
		s.foreign(g)
		return
	}
	if !intact {
		sc.Lost.Bytes += framing.SegmentHeader
	}
	if sc.Lost != (framing.Loss{}) {
		s.report(sc.Lost, describe(g, sc, err))
	}
	g.undone = len(s.found) - before
	s.records += g.undone
	if err != nil && g.undone == 0 {
		s.bytes += g.size // it stays: another time it may be read
		return
	}
	s.keep(g)
}

// describe says what a scan lost, and why.
func describe(g *segment, sc *framing.Scanner, err error) error {
	if err == nil {
		err = ErrCorrupt
	}
	if sc.Lost.Records == 0 {
		return fmt.Errorf("segment %s: %w: its header", g.path, err)
	}
	return fmt.Errorf("segment %s: %w: %d records of %d bytes lost, the first at byte %d",
		g.path, err, sc.Lost.Records, sc.Lost.Bytes, sc.FirstLost)
}

// keep takes a segment in, or removes it if nothing in it is wanted.
func (s *Store) keep(g *segment) {
	g.synced, g.syncing = g.size, g.size
	s.segments[g.number] = g
	s.bytes += g.size
	if g.undone > 0 {
		return
	}
	if err := s.retireLocked(g); err != nil {
		s.report(framing.Loss{}, err)
	}
}

// leave lets a segment stay that can't be used. It takes room all the same.
func (s *Store) leave(g *segment, lost framing.Loss, err error) {
	s.bytes += g.size
	s.report(lost, err)
}

// foreign lets a file stay that is not the spool's. It might have been, so it counts as lost.
func (s *Store) foreign(g *segment) {
	s.report(framing.Loss{Records: 1, Bytes: g.size}, fmt.Errorf("%s is not a segment: %w: no header, no record; move it away", g.path, ErrCorrupt))
}

func (s *Store) report(lost framing.Loss, err error) {
	s.lost.Add(lost)
	s.damage = append(s.damage, err)
}

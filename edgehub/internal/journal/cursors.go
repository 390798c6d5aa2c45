package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/hubring/hubring/internal/framing"
)

// Place is how far a scraper is.
type Place struct {
	Scraper string
	Floor   uint64   // it has everything before
	Parts   []uint64 // where each part of its series is, as it divided them last
}

const (
	cursorsName  = "cursors"
	cursorsMagic = "hubplace"
	maxParts     = 1 << 16
	freshSuffix  = ".new" // of a file that is to take another one's place
)

func appendPlaces(dst []byte, places []Place) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(places)))
	for _, p := range places {
		dst = appendBytes(dst, p.Scraper)
		dst = binary.AppendUvarint(dst, p.Floor)
		dst = binary.AppendUvarint(dst, uint64(len(p.Parts)))
		for _, at := range p.Parts {
			dst = binary.AppendUvarint(dst, at)
		}
	}
	return dst
}

func (r *reader) places() (places []Place) {
	for n := r.Uvarint(); n > 0 && !r.Bad; n-- {
		p := Place{Scraper: string(r.Text()), Floor: r.Uvarint()}
		parts := r.Uvarint()
		if r.Bad = r.Bad || parts > maxParts || parts > uint64(len(r.Rest)); r.Bad {
			return nil
		}
		for range parts {
			p.Parts = append(p.Parts, r.Uvarint())
		}
		places = append(places, p)
	}
	return places
}

// SaveCursors writes down how far scrapers are, in the log's positions, unless that is what was written down last. It may be called
// while others write, but not twice at a time. What it wrote may be lost with the power, unless
// flushes are wanted; then samples come again.
func (j *Journal) SaveCursors(places []Place) error {
	j.mu.Lock()
	number, body := j.next-1, appendPlaces(nil, j.toDiskLocked(places, j.written))
	j.mu.Unlock()
	if number == j.savedNumber && bytes.Equal(body, j.saved) {
		return nil
	}
	text := framing.NewSegmentHeader(cursorsMagic, version, number)
	record := framing.AppendRecord(nil, nil, body)
	framing.Place(record, number, framing.SegmentHeader)
	if err := j.replaceFile(filepath.Join(j.cfg.Dir, cursorsName), append(text, record...)); err != nil {
		return j.fail(fmt.Errorf("save the cursors: %w", err))
	}
	j.saved, j.savedNumber = body, number
	return nil
}

// replaceFile puts a file in another one's place, whole.
func (j *Journal) replaceFile(path string, text []byte) error {
	fresh := path + freshSuffix
	if err := j.disk.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := j.disk.Create(fresh)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	if err == nil && j.cfg.Sync != (Sync{}) {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return j.disk.Rename(fresh, path)
}

// loadCursors reads how far scrapers were, and in which segment that was written down. It knows nothing where
// the file is missing or damaged.
func (j *Journal) loadCursors() (places []Place, segment uint64) {
	text, err := j.readFile(filepath.Join(j.cfg.Dir, cursorsName))
	if err != nil || len(text) < framing.SegmentHeader+framing.RecordHeader {
		return nil, 0
	}
	segment = binary.LittleEndian.Uint64(text[12:])
	if v, ok := framing.ParseSegmentHeader(text, cursorsMagic, segment); !ok || v > version {
		return nil, 0
	}
	h, ok := framing.ParseHeader(text[framing.SegmentHeader:], segment, framing.SegmentHeader)
	if !ok || h.Ref.Meta != 0 || h.Ref.End() != int64(len(text)) {
		return nil, 0
	}
	body := text[framing.SegmentHeader+framing.RecordHeader:]
	if framing.Sum(body) != h.BodySum {
		return nil, 0
	}
	r := reader{framing.Reader{Rest: body}}
	if places = r.places(); r.Bad {
		return nil, 0
	}
	return places, segment
}

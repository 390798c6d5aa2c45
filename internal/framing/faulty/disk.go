// Package faulty has a disk that fails on demand, for tests of what is kept in files.
package faulty

import (
	"errors"
	"sync"

	"github.com/hubring/hubring/internal/framing"
)

// Err is what a Disk fails with.
var Err = errors.New("no space left on this device")

// Disk fails as its fields say, which whoever uses it sets between calls, or by Change where it is used
// meanwhile. It does not sync, which takes long, and which no process can see.
type Disk struct {
	framing.OS
	mu        sync.Mutex
	Room      int64 // bytes that may still be written; negative: any
	NoCut     bool  // Truncate fails
	NoRemove  bool
	NoRead    bool
	NoSync    bool
	NoSyncDir bool
	NoOpen    bool
}

// Change changes how the disk fails, while others use it.
func (d *Disk) Change(f func(*Disk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

// is reads one of the fields.
func (d *Disk) is(field *bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return *field
}

type file struct {
	framing.File
	disk *Disk
}

// Create implements framing.Disk.
func (d *Disk) Create(path string) (framing.File, error) {
	f, err := d.OS.Create(path)
	return &file{f, d}, err
}

// Open implements framing.Disk.
func (d *Disk) Open(path string) (framing.File, error) {
	if d.is(&d.NoOpen) {
		return nil, Err
	}
	f, err := d.OS.Open(path)
	return &file{f, d}, err
}

// Remove implements framing.Disk.
func (d *Disk) Remove(path string) error {
	if d.is(&d.NoRemove) {
		return Err
	}
	return d.OS.Remove(path)
}

// SyncDir implements framing.Disk.
func (d *Disk) SyncDir(string) error {
	if d.is(&d.NoSyncDir) {
		return Err
	}
	return nil
}

// WriteAt writes as much as there is room for.
func (f *file) WriteAt(b []byte, offset int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.Room < 0 {
		return f.File.WriteAt(b, offset)
	}
	n := min(f.disk.Room, int64(len(b)))
	f.disk.Room -= n
	written, err := f.File.WriteAt(b[:n], offset)
	if err == nil && written < len(b) {
		err = Err
	}
	return written, err
}

// ReadAt implements framing.File.
func (f *file) ReadAt(b []byte, offset int64) (int, error) {
	if f.disk.is(&f.disk.NoRead) {
		return 0, Err
	}
	return f.File.ReadAt(b, offset)
}

// Truncate implements framing.File.
func (f *file) Truncate(size int64) error {
	if f.disk.is(&f.disk.NoCut) {
		return Err
	}
	return f.File.Truncate(size)
}

// Sync implements framing.File.
func (f *file) Sync() error {
	if f.disk.is(&f.disk.NoSync) {
		return Err
	}
	return nil
}

// Package faulty has a disk that fails on demand, for tests of what is kept in files.
package faulty

import (
	"errors"
	"os"
	"sync"

	"github.com/hubring/hubring/internal/framing"
)

// Err is what a Disk fails with.
var Err = errors.New("no space left on this device")

// Disk fails as its fields say, which whoever uses it sets between calls, or by Change where it is used
// meanwhile. It does not sync, which takes long, and which no process can see, but remembers what it would have had
// of each file: LosePower leaves that, and of names all. What a flush has failed for never gets there, though later ones go well, as
// with a system that drops what it cannot write.
type Disk struct {
	framing.OS
	mu        sync.Mutex
	nodes     map[string]*node // by path
	Room      int64            // bytes that may still be written; negative: any
	NoCut     bool             // Truncate fails
	NoRemove  bool
	NoRename  bool
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
	node *node
}

// node is what was flushed of a file.
type node struct {
	durable []byte
	is      bool // it was flushed
	written []span
}

// span is where something was written since the last flush.
type span struct{ from, to int64 }

// flush makes what was written since the last one durable.
func (n *node) flush(f framing.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	n.durable, n.is = append(n.durable, make([]byte, max(0, int(info.Size())-len(n.durable)))...)[:info.Size()], true
	for _, s := range n.written {
		if s.to = min(s.to, info.Size()); s.from >= s.to {
			continue // it was cut off
		}
		if _, err := f.ReadAt(n.durable[s.from:s.to], s.from); err != nil {
			return err
		}
	}
	n.written = nil
	return nil
}

// node returns that of a path. What was there before this disk is durable.
func (d *Disk) node(path string) *node {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.nodes == nil {
		d.nodes = map[string]*node{}
	}
	n := d.nodes[path]
	if n == nil {
		n = &node{}
		if text, err := os.ReadFile(path); err == nil {
			n.durable, n.is = text, true
		}
		d.nodes[path] = n
	}
	return n
}

// LosePower leaves of the files what was flushed. Nobody uses them meanwhile.
func (d *Disk) LosePower() error {
	for path, n := range d.nodes {
		err := os.Remove(path)
		if n.is {
			err = os.WriteFile(path, n.durable, 0o600)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	d.nodes = nil
	return nil
}

// Settle makes durable what is in the files now.
func (d *Disk) Settle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nodes = nil
}

// Create implements framing.Disk.
func (d *Disk) Create(path string) (framing.File, error) {
	n := d.node(path)
	f, err := d.OS.Create(path)
	return &file{f, d, n}, err
}

// Open implements framing.Disk.
func (d *Disk) Open(path string) (framing.File, error) {
	if d.is(&d.NoOpen) {
		return nil, Err
	}
	n := d.node(path)
	f, err := d.OS.Open(path)
	return &file{f, d, n}, err
}

// Remove implements framing.Disk.
func (d *Disk) Remove(path string) error {
	if d.is(&d.NoRemove) {
		return Err
	}
	err := d.OS.Remove(path)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		delete(d.nodes, path)
	}
	return err
}

// Rename implements framing.Disk.
func (d *Disk) Rename(from, to string) error {
	if d.is(&d.NoRename) {
		return Err
	}
	n := d.node(from)
	err := d.OS.Rename(from, to)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		delete(d.nodes, from)
		d.nodes[to] = n
	}
	return err
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
	n := int64(len(b))
	if f.disk.Room >= 0 {
		n = min(f.disk.Room, n)
		f.disk.Room -= n
	}
	written, err := f.File.WriteAt(b[:n], offset)
	f.node.written = append(f.node.written, span{offset, offset + int64(written)})
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
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.NoSync {
		f.node.written = nil
		return Err
	}
	return f.node.flush(f.File)
}

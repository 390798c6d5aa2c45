package framing

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// File is a segment's open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error // makes durable what was written
	Stat() (os.FileInfo, error)
	Close() error
}

// Disk is what is needed of the system; tests put in one that fails.
type Disk interface {
	Create(path string) (File, error) // fails if there is one
	Open(path string) (File, error)
	Remove(path string) error
	Rename(from, to string) error // over what is there
	SyncDir(dir string) error
}

// OS is the real one.
type OS struct{}

type osFile struct{ *os.File }

// Sync implements File.
func (f osFile) Sync() error { return flush(f.File) }

// Create implements Disk.
func (OS) Create(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Open implements Disk.
func (OS) Open(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Remove implements Disk.
func (OS) Remove(path string) error { return os.Remove(path) }

// Rename implements Disk.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// SyncDir implements Disk.
func (OS) SyncDir(dir string) error { return SyncDir(dir) }

// ErrGone says that somebody has taken a segment's file away, which whoever has it open does not notice.
var ErrGone = errors.New("the segment's file is gone")

// Named reports whether a file is still the one of its name.
func Named(f File, path string) error {
	there, err := os.Stat(path)
	if err == nil {
		var mine os.FileInfo
		if mine, err = f.Stat(); err == nil && !os.SameFile(mine, there) {
			err = os.ErrNotExist
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrGone, path)
	}
	return err
}

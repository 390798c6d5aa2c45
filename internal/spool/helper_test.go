package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// record is what a test appended.
type record struct {
	ref        Ref
	meta, body string
}

// numbered makes the i-th record of a test, with a body of n bytes.
func numbered(i, n int) record {
	text := fmt.Sprintf("body %d ", i)
	for len(text) < n {
		text += text
	}
	return record{meta: fmt.Sprintf("meta %d", i), body: text[:n]}
}

func mustOpen(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// mustAppend appends the records numbered from 0 to n-1.
func mustAppend(t testing.TB, s *Store, n, bodyBytes int) []record {
	t.Helper()
	var records []record
	for i := range n {
		r := numbered(i, bodyBytes)
		var err error
		r.ref, err = s.Append([]byte(r.meta), []byte(r.body))
		require.NoError(t, err)
		records = append(records, r)
	}
	return records
}

// recovered returns what Recover brings, with the bodies.
func recovered(t testing.TB, s *Store) []record {
	t.Helper()
	var records []record
	require.NoError(t, s.Recover(func(ref Ref, meta []byte) error {
		body, err := s.Body(ref, nil)
		records = append(records, record{ref, string(meta), string(body)})
		return err
	}))
	return records
}

// crash leaves a Store as a process that is killed does: nothing is synced or removed.
func crash(s *Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, g := range s.segments {
		s.closeLocked(g)
	}
	_ = s.unlock()
}

// segmentFiles are the paths of the segments, in order.
func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	require.NoError(t, err)
	return paths
}

// diskBytes is the size of all segments.
func diskBytes(t testing.TB, dir string) int64 {
	t.Helper()
	var sum int64
	for _, path := range segmentFiles(t, dir) {
		info, err := os.Stat(path)
		require.NoError(t, err)
		sum += info.Size()
	}
	return sum
}

// edit changes the bytes of a file.
func edit(t testing.TB, path string, change func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, change(b), 0o600))
}

// errFault is what the faulty file system fails with.
var errFault = errors.New("no space left on this device")

// faulty is a disk that fails on demand. It does not sync, which takes long, and which no process
// can see.
type faulty struct {
	disk
	room      int64 // bytes that may still be written; negative: any
	noCut     bool  // Truncate fails
	noRemove  bool
	noRead    bool
	noSync    bool
	noSyncDir bool
	noOpen    bool
}

type faultyFile struct {
	file
	fs *faulty
}

func (fs *faulty) create(path string) (file, error) {
	f, err := fs.disk.create(path)
	return &faultyFile{f, fs}, err
}

func (fs *faulty) open(path string) (file, error) {
	if fs.noOpen {
		return nil, errFault
	}
	f, err := fs.disk.open(path)
	return &faultyFile{f, fs}, err
}

func (fs *faulty) remove(path string) error {
	if fs.noRemove {
		return errFault
	}
	return fs.disk.remove(path)
}

func (fs *faulty) syncDir(string) error {
	if fs.noSyncDir {
		return errFault
	}
	return nil
}

func (f *faultyFile) WriteAt(b []byte, offset int64) (int, error) {
	if f.fs.room < 0 {
		return f.file.WriteAt(b, offset)
	}
	n := min(f.fs.room, int64(len(b)))
	f.fs.room -= n
	written, err := f.file.WriteAt(b[:n], offset)
	if err == nil && written < len(b) {
		err = errFault
	}
	return written, err
}

func (f *faultyFile) ReadAt(b []byte, offset int64) (int, error) {
	if f.fs.noRead {
		return 0, errFault
	}
	return f.file.ReadAt(b, offset)
}

func (f *faultyFile) Truncate(size int64) error {
	if f.fs.noCut {
		return errFault
	}
	return f.file.Truncate(size)
}

func (f *faultyFile) Sync() error {
	if f.fs.noSync {
		return errFault
	}
	return nil
}

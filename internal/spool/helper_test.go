package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/framing"
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
	paths, err := filepath.Glob(filepath.Join(dir, "*"+framing.SegmentSuffix))
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

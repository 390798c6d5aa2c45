package spool

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// One gateway's report is about 35 kB. Run with
//
//	go test -run '^$' -bench . ./internal/spool
const benchBody = 35_000

func benchStore(b *testing.B) *Store {
	b.ReportAllocs()
	b.SetBytes(benchBody)
	return mustOpen(b, Config{Dir: b.TempDir(), MaxBytes: 1 << 30})
}

// One record at a time through the spool: Append, Body, Done.
func BenchmarkThrough(b *testing.B) {
	s := benchStore(b)
	meta, body := []byte("gateway 17, 303 samples"), []byte(strings.Repeat("x", benchBody))
	var dst []byte
	for b.Loop() {
		ref, err := s.Append(meta, body)
		require.NoError(b, err)
		dst, err = s.Body(ref, dst[:0])
		require.NoError(b, err)
		require.NoError(b, s.Done(ref))
	}
	require.Len(b, dst, benchBody)
}

// The same by all cores.
func BenchmarkThroughParallel(b *testing.B) {
	s := benchStore(b)
	meta, body := []byte("gateway 17, 303 samples"), []byte(strings.Repeat("x", benchBody))
	b.RunParallel(func(pb *testing.PB) {
		var dst []byte
		for pb.Next() {
			ref, err := s.Append(meta, body)
			if err == nil {
				dst, err = s.Body(ref, dst[:0])
			}
			if err == nil {
				err = s.Done(ref)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// Each step alone, with 256 records waiting.
func BenchmarkAppend(b *testing.B) {
	s := benchStore(b)
	body := []byte(strings.Repeat("x", benchBody))
	var refs []Ref
	for b.Loop() {
		ref, err := s.Append(nil, body)
		require.NoError(b, err)
		if refs = append(refs, ref); len(refs) == 256 {
			b.StopTimer()
			for _, ref := range refs {
				require.NoError(b, s.Done(ref))
			}
			refs = refs[:0]
			b.StartTimer()
		}
	}
}

func BenchmarkBody(b *testing.B) {
	s := benchStore(b)
	refs := benchFill(b, s)
	var next atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var dst []byte
		for pb.Next() {
			var err error
			if dst, err = s.Body(refs[next.Add(1)%int64(len(refs))], dst[:0]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// A restart with 256 records, from the page cache.
func BenchmarkOpen(b *testing.B) {
	s := benchStore(b)
	refs := benchFill(b, s)
	b.SetBytes(int64(len(refs)) * benchBody)
	for b.Loop() {
		crash(s)
		var err error
		s, err = Open(s.cfg)
		require.NoError(b, err)
		require.NoError(b, s.Recover(func(Ref, []byte) error { return nil }))
	}
	require.Equal(b, len(refs), s.Records())
	require.NoError(b, s.Close())
}

func benchFill(b *testing.B, s *Store) []Ref {
	body := []byte(strings.Repeat("x", benchBody))
	var refs []Ref
	for range 256 {
		ref, err := s.Append([]byte("gateway 17, 303 samples"), body)
		require.NoError(b, err)
		refs = append(refs, ref)
	}
	return refs
}

package spool

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/framing"
	"github.com/hubring/hubring/internal/framing/faulty"
)

func TestWhatIsNotDoneComesBack(t *testing.T) {
	cfg := Config{Dir: filepath.Join(t.TempDir(), "a", "spool"), MaxBytes: 1 << 20, SegmentBytes: 1000}
	s := mustOpen(t, cfg)
	info, err := os.Stat(cfg.Dir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	records := mustAppend(t, s, 20, 300)
	var left []record
	for i, r := range records {
		if i%3 == 0 {
			left = append(left, r)
			continue
		}
		require.NoError(t, s.Done(r.ref))
	}
	assert.Equal(t, len(left), s.Records())
	assert.Equal(t, diskBytes(t, cfg.Dir), s.Bytes())
	require.NoError(t, s.Close())

	s = mustOpen(t, cfg)
	assert.Equal(t, len(left), s.Records())
	assert.Equal(t, diskBytes(t, cfg.Dir), s.Bytes())
	assert.Equal(t, left, recovered(t, s))
	assert.Empty(t, recovered(t, s), "a second time")
	require.NoError(t, s.Damage())
}

func TestEmptyRecord(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1000}
	s := mustOpen(t, cfg)
	ref, err := s.Append(nil, nil)
	require.NoError(t, err)
	body, err := s.Body(ref, []byte("before "))
	require.NoError(t, err)
	assert.Equal(t, "before ", string(body))
	require.NoError(t, s.Close())
	s = mustOpen(t, cfg)
	assert.Equal(t, []record{{ref: ref}}, recovered(t, s))
}

func TestBodyAppends(t *testing.T) {
	s := mustOpen(t, Config{Dir: t.TempDir(), MaxBytes: 1 << 20})
	r := mustAppend(t, s, 1, 100)[0]
	assert.Equal(t, 100, r.ref.BodyBytes())
	dst := append(make([]byte, 0, 500), "before "...)
	body, err := s.Body(r.ref, dst)
	require.NoError(t, err)
	assert.Equal(t, "before "+r.body, string(body))
	assert.Same(t, &dst[0], &body[0], "there was room for it")
}

func TestDoneIsDone(t *testing.T) {
	s := mustOpen(t, Config{Dir: t.TempDir(), MaxBytes: 1 << 20})
	records := mustAppend(t, s, 2, 100)
	for range 2 {
		require.NoError(t, s.Done(records[0].ref))
		assert.Equal(t, 1, s.Records())
	}
	_, err := s.Body(records[0].ref, nil)
	require.ErrorIs(t, err, ErrDone)
	body, err := s.Body(records[1].ref, nil)
	require.NoError(t, err)
	assert.Equal(t, records[1].body, string(body))

	require.NoError(t, s.Done(records[1].ref))
	assert.Equal(t, 0, s.Records())
	dst, err := s.Body(records[1].ref, []byte("x"))
	require.ErrorIs(t, err, ErrDone)
	assert.Equal(t, "x", string(dst))
	require.NoError(t, s.Done(Ref{}), "of no store")
}

func TestSegmentGoesWithItsLastRecord(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20, SegmentBytes: 1000}
	s := mustOpen(t, cfg)
	records := mustAppend(t, s, 6, 400) // two to a segment
	require.Len(t, segmentFiles(t, cfg.Dir), 3)

	require.NoError(t, s.Done(records[1].ref))
	require.Len(t, segmentFiles(t, cfg.Dir), 3)
	require.NoError(t, s.Done(records[0].ref))
	require.Len(t, segmentFiles(t, cfg.Dir), 2)
	_, err := s.Body(records[0].ref, nil)
	require.ErrorIs(t, err, ErrDone)

	require.NoError(t, s.Done(records[4].ref))
	require.NoError(t, s.Done(records[5].ref))
	require.Len(t, segmentFiles(t, cfg.Dir), 2, "the newest stays for what comes")
	mustAppend(t, s, 1, 400)
	require.Len(t, segmentFiles(t, cfg.Dir), 2, "until it is full")
	assert.Equal(t, diskBytes(t, cfg.Dir), s.Bytes())
}

func TestCloseLeavesNothingBehindWhenAllIsDone(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	s := mustOpen(t, cfg)
	require.NoError(t, s.Done(mustAppend(t, s, 1, 10)[0].ref))
	require.NoError(t, s.Close())
	assert.Empty(t, segmentFiles(t, cfg.Dir))
}

func TestFull(t *testing.T) {
	const body = 100
	n := Ref{Meta: uint32(len(numbered(0, body).meta)), Body: body}.Size()
	cfg := Config{Dir: t.TempDir(), MaxBytes: 2 * (framing.SegmentHeader + 2*n), SegmentBytes: framing.SegmentHeader + 2*n}
	s := mustOpen(t, cfg)
	records := mustAppend(t, s, 4, body)
	require.Equal(t, cfg.MaxBytes, s.Bytes(), "the last byte is used")

	_, err := s.Append(nil, nil)
	require.ErrorIs(t, err, ErrFull)
	require.NoError(t, s.Done(records[0].ref))
	_, err = s.Append(nil, nil)
	require.ErrorIs(t, err, ErrFull, "a segment goes as a whole")
	require.NoError(t, s.Done(records[1].ref))
	more := mustAppend(t, s, 2, body)
	_, err = s.Append(nil, nil)
	require.ErrorIs(t, err, ErrFull)

	for _, r := range more {
		require.NoError(t, s.Done(r.ref))
	}
	mustAppend(t, s, 2, body) // the newest goes early when its room is wanted
	assert.Equal(t, cfg.MaxBytes, s.Bytes())
	assert.Equal(t, cfg.MaxBytes, diskBytes(t, cfg.Dir))
}

func TestTooLarge(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1000}
	s := mustOpen(t, cfg)
	_, err := s.Append(nil, make([]byte, 1000-framing.SegmentHeader-framing.RecordHeader+1))
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = s.Append(nil, make([]byte, 1000-framing.SegmentHeader-framing.RecordHeader))
	require.NoError(t, err, "larger than a segment")
	_, err = s.Append(nil, nil)
	require.ErrorIs(t, err, ErrFull)

	s = mustOpen(t, Config{Dir: t.TempDir(), MaxBytes: 1 << 40})
	_, err = s.Append(make([]byte, MaxMetaBytes+1), nil)
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = s.Append(make([]byte, MaxMetaBytes), nil)
	require.NoError(t, err)
}

func TestAClosedStore(t *testing.T) {
	s := mustOpen(t, Config{Dir: t.TempDir(), MaxBytes: 1000})
	ref := mustAppend(t, s, 1, 10)[0].ref
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "a second time")
	_, err := s.Append(nil, nil)
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.Body(ref, nil)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.Done(ref), ErrClosed)
	require.ErrorIs(t, s.Sync(), ErrClosed)
	require.ErrorIs(t, s.Recover(func(Ref, []byte) error { return nil }), ErrClosed)
}

func TestConfig(t *testing.T) {
	_, err := Open(Config{SegmentBytes: -1})
	for _, problem := range []string{"Dir is not set", "MaxBytes is 0", "SegmentBytes is -1"} {
		require.ErrorContains(t, err, problem)
	}
	_, err = Open(Config{Dir: t.TempDir(), MaxBytes: 1, SegmentBytes: MaxSegmentBytes + 1})
	require.ErrorContains(t, err, "SegmentBytes is 1073741825")

	assert.EqualValues(t, 16<<20, Config{MaxBytes: 1 << 30}.withDefaults().SegmentBytes)
	assert.EqualValues(t, 1<<10, Config{MaxBytes: 8 << 10}.withDefaults().SegmentBytes)
	assert.EqualValues(t, 24, unsafe.Sizeof(Ref{}))
}

func TestOneStoreADirectory(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1000}
	s := mustOpen(t, cfg)
	_, err := Open(cfg)
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, cfg.Dir)
	require.NoError(t, s.Close())
	mustOpen(t, cfg)
}

func TestRecoverGoesOnWhereItStopped(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	s := mustOpen(t, cfg)
	records := mustAppend(t, s, 3, 10)
	require.NoError(t, s.Close())

	s = mustOpen(t, cfg)
	calls := 0
	require.ErrorIs(t, s.Recover(func(Ref, []byte) error {
		if calls++; calls == 2 {
			return faulty.Err
		}
		return nil
	}), faulty.Err)
	assert.Equal(t, records[1:], recovered(t, s))
}

func TestDoneWithinRecover(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20, SegmentBytes: 100}
	s := mustOpen(t, cfg)
	records := mustAppend(t, s, 5, 100)
	require.NoError(t, s.Close())

	s = mustOpen(t, cfg)
	var metas []string
	require.NoError(t, s.Recover(func(ref Ref, meta []byte) error {
		metas = append(metas, string(meta))
		_, err := s.Append(meta, nil)
		require.NoError(t, err)
		require.NoError(t, s.Done(records[len(records)-1].ref), "before it was brought")
		return s.Done(ref)
	}))
	assert.Equal(t, []string{"meta 0", "meta 1", "meta 2", "meta 3"}, metas)
	assert.Equal(t, 4, s.Records())
}

func TestFewDescriptors(t *testing.T) {
	s := mustOpen(t, Config{Dir: t.TempDir(), MaxBytes: 1 << 20, SegmentBytes: 1})
	records := mustAppend(t, s, 3*maxOpenFiles, 10)
	require.NoError(t, s.Sync())
	for _, r := range records {
		body, err := s.Body(r.ref, nil)
		require.NoError(t, err)
		require.Equal(t, r.body, string(body))
		assert.LessOrEqual(t, s.open, maxOpenFiles)
	}
	for _, r := range records {
		require.NoError(t, s.Done(r.ref))
	}
	assert.LessOrEqual(t, s.open, 1)
	assert.Len(t, s.segments, 1)
}

// Everybody works on records of their own at the same time, with more segments than may be
// open, while another syncs.
func TestConcurrent(t *testing.T) {
	const workers, each = 8, 150
	cfg := Config{Dir: t.TempDir(), MaxBytes: 16 << 20, SegmentBytes: 500}
	s := mustOpen(t, cfg)
	left := make([][]record, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := range each {
				r := numbered(w*each+i, 200)
				var err error
				r.ref, err = s.Append([]byte(r.meta), []byte(r.body))
				if !assert.NoError(t, err) {
					return
				}
				body, err := s.Body(r.ref, nil)
				assert.NoError(t, err)
				assert.Equal(t, r.body, string(body))
				if i%2 == 0 {
					assert.NoError(t, s.Done(r.ref))
				} else {
					left[w] = append(left[w], r)
				}
			}
			for _, r := range left[w] { // long ago, so their files were closed
				body, err := s.Body(r.ref, nil)
				assert.NoError(t, err)
				assert.Equal(t, r.body, string(body))
			}
		})
	}
	group.Go(func() {
		for range 5 {
			assert.NoError(t, s.Sync())
		}
	})
	group.Wait()
	assert.Equal(t, workers*each/2, s.Records())
	assert.Equal(t, diskBytes(t, cfg.Dir), s.Bytes())
	require.NoError(t, s.Close())

	s = mustOpen(t, cfg)
	var want []record
	for _, records := range left {
		want = append(want, records...)
	}
	assert.ElementsMatch(t, want, recovered(t, s))
	require.NoError(t, s.Damage())
}

// Close in the middle of everything: each call works, or says that the spool is closed.
func TestCloseWhileInUse(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 64 << 20, SegmentBytes: 2000}
	s := mustOpen(t, cfg)
	begun := make(chan struct{}, 4)
	var group sync.WaitGroup
	for range cap(begun) {
		group.Go(func() {
			for i := 0; ; i++ {
				if i == 10 {
					begun <- struct{}{}
				}
				ref, err := s.Append([]byte("m"), []byte(strings.Repeat("b", 300)))
				if err == nil {
					_, err = s.Body(ref, nil)
				}
				if err == nil {
					err = s.Done(ref)
				}
				if err != nil {
					assert.ErrorIs(t, err, ErrClosed)
					return
				}
			}
		})
	}
	for range cap(begun) {
		<-begun
	}
	require.NoError(t, s.Close())
	group.Wait()
	s = mustOpen(t, cfg)
	require.NoError(t, s.Damage())
	assert.LessOrEqual(t, len(recovered(t, s)), cap(begun), "who was interrupted between Append and Done")
}

// Nobody waits for a slow disk that syncs.
func TestSyncHoldsNobodyUp(t *testing.T) {
	slow := &slowSync{began: make(chan struct{}), end: make(chan struct{})}
	s, err := open(Config{Dir: t.TempDir(), MaxBytes: 1 << 20}, slow)
	require.NoError(t, err)
	r := mustAppend(t, s, 1, 10)[0]
	synced := make(chan error)
	go func() { synced <- s.Sync() }()
	<-slow.began

	worked := make(chan struct{})
	go func() {
		defer close(worked)
		mustAppend(t, s, 1, 10)
		_, err := s.Body(r.ref, nil)
		assert.NoError(t, err)
		assert.NoError(t, s.Done(r.ref))
	}()
	select {
	case <-worked:
	case <-time.After(10 * time.Second):
		t.Error("waits for Sync")
	}
	close(slow.end)
	require.NoError(t, <-synced)
	<-worked
	require.NoError(t, s.Close())
}

// slowSync is a disk whose first Sync ends when it is told to.
type slowSync struct {
	framing.OS
	once       sync.Once
	began, end chan struct{}
}

type slowFile struct {
	framing.File
	fs *slowSync
}

func (fs *slowSync) Create(path string) (framing.File, error) {
	f, err := fs.OS.Create(path)
	return &slowFile{f, fs}, err
}

func (f *slowFile) Sync() error {
	f.fs.once.Do(func() { close(f.fs.began) })
	<-f.fs.end
	return f.File.Sync()
}

package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/framing"
)

// seal puts right checksums on whatever looks like a header, and on the parts that its lengths name, since a fuzzer does not
// find them, and what lies behind them would not be reached.
func seal(segment []byte) {
	if len(segment) >= framing.SegmentHeader {
		copy(segment, framing.NewSegmentHeader(magic, uint32(segment[8]), 1))
	}
	for at := framing.SegmentHeader; len(segment)-at >= framing.RecordHeader; at++ {
		b := segment[at:]
		if string(b[1:4]) != framing.RecordMagic {
			continue
		}
		n, m := int(b[16]), int(b[20])|int(b[21])<<8
		if clear(b[17:20]); framing.RecordHeader+n+m > len(b) {
			continue
		}
		clear(b[22:24])
		record := framing.AppendRecord(nil, b[framing.RecordHeader:][:n], b[framing.RecordHeader+n:][:m])
		framing.Place(record, 1, uint32(at))
		copy(b, record)
		at += len(record) - 1
	}
}

// goodSegment is one with a record of each kind.
func goodSegment(t testing.TB) []byte {
	cfg := Config{Dir: t.TempDir()}
	j := mustOpen(t, cfg)
	_, err := j.Start(time.UnixMilli(1), func() []Place { return []Place{{Scraper: "a", Floor: 1, Parts: []uint64{1, 2}}} })
	require.NoError(t, err)
	j.Family("x", "gauge", "so much")
	push(j, 0, []series.ID{1, 2, 3, 2}, []float64{1, 2, 3, 4})
	push(j, 0, []series.ID{1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3}, []float64{11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22})
	j.Define(nil, []series.ID{9})
	j.Own(9, "g")
	j.Add(Firsts, "", time.UnixMilli(2), []int64{7}, []float64{7})
	j.Define(nil, []series.ID{1, 2})
	j.Add(Ends, "g", time.UnixMilli(3), []int64{8, 9}, []float64{1, 1})
	require.NoError(t, j.Commit())
	require.NoError(t, j.Close())
	b, err := os.ReadFile(segmentFiles(t, cfg.Dir)[0])
	require.NoError(t, err)
	return b
}

// goodPacked is one likewise, whose samples are packed.
func goodPacked(t testing.TB) []byte {
	cfg := Config{Dir: t.TempDir(), SegmentBytes: 1}
	require.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, framing.SegmentName(1)), goodSegment(t), 0o600))
	j := mustOpen(t, cfg)
	replayed(t, j)
	group(t, j, 0)
	did, err := j.Pack(t.Context(), time.Now(), at(0))
	require.NoError(t, err)
	require.True(t, did)
	require.NoError(t, j.Close())
	b, err := os.ReadFile(segmentFiles(t, cfg.Dir)[0])
	require.NoError(t, err)
	return b
}

// worn is a segment that was written over another one.
func worn(t testing.TB, segment []byte) []byte {
	cfg := Config{Dir: t.TempDir(), SegmentBytes: 1}
	j := mustOpen(t, cfg)
	for i := range 2 {
		_, err := j.Start(time.UnixMilli(1), nobody)
		require.NoError(t, err)
		push(j, 0, []series.ID{1, 2, 3}, []float64{float64(i), 8, 9})
		require.NoError(t, j.Commit())
	}
	require.NoError(t, j.Close())
	other, err := os.ReadFile(segmentFiles(t, cfg.Dir)[1])
	require.NoError(t, err)
	return slices.Concat(segment, make([]byte, pageBytes-len(segment)%pageBytes), other[framing.SegmentHeader:])
}

// Whatever a segment holds, reading it does no harm, allocates no more than it has, and brings no more samples than fit
// it; what is committed behind it comes back whole.
func FuzzReplay(f *testing.F) {
	good := goodSegment(f)
	f.Add(good, []byte{}, false)
	f.Add(good[:len(good)-5], []byte("x"), true)
	f.Add(append([]byte("xxx"), good...), good[:60], true)
	f.Add(worn(f, good), []byte{}, false)
	f.Add(goodPacked(f), []byte{}, true)
	f.Add([]byte{}, []byte{}, false)
	f.Fuzz(func(t *testing.T, segment, cursors []byte, sealed bool) {
		segment = bytes.Clone(segment)
		if sealed {
			seal(segment)
		}
		cfg := Config{Dir: t.TempDir()}
		require.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, framing.SegmentName(1)), segment, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, cursorsName), cursors, 0o600))
		j, err := Open(cfg)
		if err != nil {
			require.ErrorIs(t, err, ErrVersion)
			return
		}
		defer func() { crash(j) }()
		count := func(j *Journal) (all []sample) {
			_, err := j.Replay(func([]Place) {}, func(r *Record) (int, error) {
				require.Len(t, r.Times, len(r.Locals))
				require.Len(t, r.Values, len(r.Locals))
				for i := range r.Values {
					all = append(all, sample{"", r.Times[i], r.Values[i]})
				}
				return len(r.Values), nil
			})
			require.NoError(t, err)
			return all
		}
		found := count(j)
		require.LessOrEqual(t, len(found), 64*len(segment))
		_, err = j.Start(time.Now(), nobody)
		require.NoError(t, err)
		push(j, 1, []series.ID{1, 2}, []float64{5, 6})
		require.NoError(t, j.Commit())
		crash(j)
		j = mustOpen(t, cfg)
		again := count(j)
		require.Len(t, again, len(found)+2)
		require.InDelta(t, 6, again[len(again)-1].value, 0)
		crash(j)
	})
}

// Every bit of a segment is flipped, one at a time: no sample is wrong, those that are missing are counted or were torn
// off the end, and what is damaged is told.
func TestEveryBit(t *testing.T) {
	good := goodSegment(t)
	want := map[sample]bool{}
	dir := t.TempDir()
	read := func(segment []byte) (all []sample, report Report, err error) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, framing.SegmentName(1)), segment, 0o600))
		j, err := Open(Config{Dir: dir})
		if err != nil {
			return nil, Report{}, err
		}
		defer crash(j)
		all, _, report = replayed(t, j)
		return all, report, nil
	}
	all, report, err := read(good)
	require.NoError(t, err)
	require.Len(t, all, 18, "the hub's own sample has no name here")
	require.EqualValues(t, 1, report.Lost)
	for _, s := range all {
		want[s] = true
	}
	check := func(whole []byte, bit int) {
		segment := bytes.Clone(whole)
		segment[bit/8] ^= 1 << (bit % 8)
		got, report, err := read(segment)
		if err != nil {
			require.ErrorIs(t, err, ErrVersion)
			return
		}
		for _, s := range got {
			require.True(t, want[s], "bit %d: %v", bit, s)
		}
		if len(got) < len(all) && !report.Torn {
			require.EqualValues(t, 1+len(all)-len(got), report.Lost, "bit %d", bit)
			require.NotEmpty(t, report.Damage, "bit %d", bit)
		}
	}
	for bit := range 8 * len(good) {
		check(good, bit)
	}
	packed := goodPacked(t)
	require.Less(t, len(packed), len(good))
	same, report, err := read(packed)
	require.NoError(t, err)
	require.Equal(t, all, same)
	require.EqualValues(t, 1, report.Lost)
	require.Len(t, report.Damage, 1)
	for bit := range 8 * len(packed) {
		check(packed, bit)
	}
	over := worn(t, good)
	all, report, err = read(over)
	require.NoError(t, err)
	require.Len(t, all, 18)
	require.Equal(t, []uint64{1, 0}, []uint64{report.Lost, uint64(report.LostByte)})
	require.False(t, report.Torn)
	for bit := 8 * (len(good) - 100); bit < 8*(len(good)+4); bit++ {
		check(over, bit)
	}
}

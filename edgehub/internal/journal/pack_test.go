package journal

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/framing"
	"github.com/hubring/hubring/internal/framing/faulty"
)

// line is what Replay brings of a record, or of a gateway's entry.
type line struct {
	kind     Kind
	position uint64
	arrival  int64
	gateway  string
	life     Life
	samples  []sample
}

// lines are all records with samples, and before each those entries of gateways that came before it.
func lines(t *testing.T, cfg Config) (all []line, report Report) {
	t.Helper()
	j := mustOpen(t, cfg)
	defer crash(j)
	known := map[uint32]string{}
	report, err := j.Replay(func([]Place) {}, func(r *Record) (int, error) {
		if r.Turned {
			clear(known)
		}
		for _, e := range r.Entries {
			if known[e.Local] = string(e.Name); e.Gateway {
				all = append(all, line{kind: Names, gateway: string(e.Name), life: e.Life})
			}
		}
		if len(r.Locals) == 0 {
			return 0, nil
		}
		l := line{kind: r.Kind, position: r.Position, arrival: r.Arrival.UnixMilli(), gateway: r.Gateway}
		for i, local := range r.Locals {
			if known[local] != "" {
				l.samples = append(l.samples, sample{known[local], r.Times[i], r.Values[i]})
			}
		}
		all = append(all, l)
		return len(l.samples), nil
	})
	require.NoError(t, err)
	return all, report
}

// A packed segment brings the records that it brought before, with their positions and arrivals, and of each gateway what was known of it
// behind what the gateway pushed before.
func TestPack(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), SegmentBytes: 4000}
	j := mustOpen(t, cfg)
	arrival := int64(1_700_000_000_000)
	reports := func(n int, gateways ...uint32) {
		for range n {
			for _, g := range gateways {
				arrival += 100
				ids := []series.ID{series.ID(10 * g), series.ID(10*g + 1), series.ID(10*g + 2)}
				unknown, gateways := j.Define(nil, ids)
				for _, id := range unknown {
					j.Series(id, fmt.Sprint("x", id))
				}
				if gateways && j.UnknownGateway(g) {
					j.Gateway(fmt.Sprint("g", g), Life{First: arrival})
				}
				j.Add(Samples, "", time.UnixMilli(arrival), []int64{arrival, arrival, arrival - 1}, []float64{1, float64(arrival) / 100, float64(g)})
			}
		}
	}
	for range 4 {
		_, err := j.Start(time.UnixMilli(arrival), nobody)
		require.NoError(t, err)
		reports(20, 1, 2)
		j.Forget(slices.Repeat([]bool{true}, 100)) // what is known of gateways is said again
		reports(20, 1, 2, 3)
		j.Define(nil, []series.ID{10})
		j.Add(Firsts, "", time.UnixMilli(arrival), []int64{1}, []float64{2})
		reports(5, 3)
		j.Define(nil, []series.ID{10, 11})
		j.Add(Ends, "g1", time.UnixMilli(arrival), []int64{3, 4}, []float64{5, 6})
		j.Forget(slices.Repeat([]bool{true}, 100))
		reports(20, 3, 1)
		require.NoError(t, j.Commit())
	}
	require.NoError(t, j.Close())
	before, report := lines(t, cfg)
	require.Empty(t, report.Damage)

	j = mustOpen(t, cfg)
	passOver(t, j)
	_, size := j.Size()
	now := time.UnixMilli(arrival)
	did, err := j.Pack(t.Context(), now.Add(packAfter-time.Second), at(0))
	require.NoError(t, err)
	require.True(t, did, "the first came some time before the last")
	did, err = j.Pack(t.Context(), now.Add(time.Hour), at(j.written))
	require.NoError(t, err)
	require.False(t, did, "nobody needs them")
	for did := true; did; {
		did, err = j.Pack(t.Context(), now.Add(time.Hour), at(0))
		require.NoError(t, err)
	}
	_, small := j.Size()
	assert.Less(t, small, size/2)
	require.NoError(t, j.Close())
	after, report := lines(t, cfg)
	require.Empty(t, report.Damage)

	for _, kind := range []Kind{Samples, Firsts, Ends} {
		of := func(all []line) []line {
			return slices.DeleteFunc(slices.Clone(all), func(l line) bool { return l.kind != kind })
		}
		require.Equal(t, of(before), of(after))
	}
	for _, g := range []string{"1", "2", "3"} { // their entries and samples in order
		of := func(all []line) []line {
			return slices.DeleteFunc(slices.Clone(all), func(l line) bool {
				return l.kind == Names && l.gateway != "g"+g || l.kind != Names && l.samples[0].name[:2] != "x"+g
			})
		}
		require.Equal(t, of(before), of(after))
	}
}

// passOver reads what there is, so that the journal goes on behind it.
func passOver(t *testing.T, j *Journal) {
	t.Helper()
	_, err := j.Replay(func([]Place) {}, func(r *Record) (int, error) { return len(r.Locals), nil })
	require.NoError(t, err)
}

// Many samples are in several blocks, and what is too large for one stays as it is. A damaged block takes no other with it.
func TestPackMuch(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	j := mustOpen(t, cfg)
	_, err := j.Start(time.Now(), nobody)
	require.NoError(t, err)
	const sizes = 100_000
	for i, samples := range []int{sizes, sizes, leastPacked + 1, sizes, sizes, sizes} {
		ids, values := make([]series.ID, samples), make([]float64, samples)
		for k := range ids {
			ids[k], values[k] = series.ID(k%300), float64(i)
		}
		push(j, 0, ids, values)
	}
	require.NoError(t, j.Commit())
	require.NoError(t, j.Close())
	before, report := lines(t, cfg)
	require.Empty(t, report.Damage)

	j = mustOpen(t, cfg)
	passOver(t, j)
	did, err := j.Pack(t.Context(), time.Now().Add(time.Hour), at(0))
	require.NoError(t, err)
	require.True(t, did)
	require.NoError(t, j.Close())
	after, report := lines(t, cfg)
	require.Empty(t, report.Damage)
	require.True(t, reflect.DeepEqual(before, after)) // of which nobody wants to see the difference

	var refs []framing.Ref
	path := segmentFiles(t, cfg.Dir)[0]
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(t, err)
	sc := framing.NewScanner(f, info.Size(), 1, make([]byte, framing.WindowBytes))
	sc.Visit = func(h framing.Header) { refs = append(refs, h.Ref) }
	require.NoError(t, sc.Run())
	require.Len(t, refs, 6, "its beginning, names, a block, a push, two blocks")
	edit(t, path, func(b []byte) []byte {
		b[refs[4].End()-1]++
		return b
	})
	after, report = lines(t, cfg)
	assert.True(t, reflect.DeepEqual(slices.Delete(slices.Clone(before), 4, 6), asBefore(after, 2*sizes)))
	assert.EqualValues(t, 2*sizes, report.Lost)
	require.Len(t, report.Damage, 2)
	assert.ErrorContains(t, report.Damage[0], fmt.Sprintf("%d samples are lost, which came between", 2*sizes))
}

// asBefore gives what is behind lost samples the positions that it had on disk.
func asBefore(all []line, lost uint64) []line {
	all[len(all)-1].position += lost
	return all
}

// A disk that fails while something is packed leaves all as it was, keeps nobody from adding more, and is tried again after a while.
func TestPackThatFails(t *testing.T) {
	disk := &faulty.Disk{Room: -1}
	cfg := Config{Dir: t.TempDir(), Disk: disk, SegmentBytes: 1}
	j := mustOpen(t, cfg)
	for i := range 3 {
		_, err := j.Start(time.Now(), nobody)
		require.NoError(t, err)
		push(j, 0, slices.Repeat([]series.ID{1, 2, 3}, 100), slices.Repeat([]float64{float64(i)}, 300))
		require.NoError(t, j.Commit())
	}
	now := time.Now().Add(time.Hour)
	disk.Room = 200
	did, err := j.Pack(t.Context(), now, at(0))
	require.ErrorIs(t, err, faulty.Err)
	require.False(t, did)
	require.NoError(t, j.Broken())
	require.EqualValues(t, 1, j.Failures())
	disk.Room = -1
	did, err = j.Pack(t.Context(), now, at(0))
	require.NoError(t, err)
	require.True(t, did, "another one")
	did, err = j.Pack(t.Context(), now, at(0))
	require.NoError(t, err)
	require.False(t, did)
	did, err = j.Pack(t.Context(), now.Add(packAgain), at(0))
	require.NoError(t, err)
	require.True(t, did)
	require.NoError(t, j.Close())
	all, report := lines(t, cfg)
	require.Empty(t, report.Damage)
	assert.Len(t, slices.DeleteFunc(all, func(l line) bool { return l.kind != Samples }), 3)
}

// A segment stays while it is packed, and packing ends when nobody needs it any more, the disk fails or ctx ends.
func TestPackBreaksOff(t *testing.T) {
	disk := &faulty.Disk{Room: -1}
	cfg := Config{Dir: t.TempDir(), Disk: disk, SegmentBytes: 1, Sync: Sync{Every: time.Second}}
	j := mustOpen(t, cfg)
	three := func(values float64) {
		_, err := j.Start(time.Now(), nobody)
		require.NoError(t, err)
		push(j, 0, slices.Repeat([]series.ID{1, 2, 3}, 100), slices.Repeat([]float64{values}, 300))
		require.NoError(t, j.Commit())
	}
	for i := range 4 {
		three(float64(i))
	}
	require.NoError(t, j.Sync())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// during calls f once something of a segment is packed. What f returns is the floor from then on.
	during := func(f func() uint64) (did bool, err error) {
		calls, floor := 0, uint64(0)
		return j.Pack(ctx, time.Now().Add(time.Hour), func() uint64 {
			if calls++; calls == 3 {
				floor = f()
			}
			return floor
		})
	}
	exist := func(files int) {
		t.Helper()
		entries, err := os.ReadDir(cfg.Dir)
		require.NoError(t, err)
		require.Len(t, entries, files+1, "and the lock")
	}
	released := func() uint64 {
		require.NoError(t, j.Release(j.written))
		exist(5) // segments, and what is being written
		return 0
	}
	did, err := during(released)
	require.NoError(t, err)
	require.True(t, did)
	exist(4)

	did, err = during(func() uint64 { return j.written })
	require.NoError(t, err)
	require.False(t, did)
	exist(4)

	did, err = during(func() uint64 {
		disk.NoSync = true
		three(9)
		require.ErrorIs(t, j.Sync(), faulty.Err)
		disk.NoSync = false
		return 0
	})
	require.NoError(t, err)
	require.False(t, did)
	exist(5)
	require.NoError(t, j.Probe())

	did, err = during(func() uint64 {
		cancel()
		return 0
	})
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, did)
	exist(5)
	require.NoError(t, j.Close())
	all, report := lines(t, cfg)
	require.Empty(t, report.Damage)
	require.Len(t, slices.DeleteFunc(all, func(l line) bool { return l.kind != Samples }), 5)
}

// needed is how many of the newest samples the processes of TestKilledWhilePacking keep.
const needed = 900

// A process that packs, and writes segments over others, is killed at any time, again and again: what it said that it has committed is there, but
// for what it has released.
func TestKilledWhilePacking(t *testing.T) {
	const dirOf = "HUBRING_TEST_PACKS_IN"
	if dir := os.Getenv(dirOf); dir != "" {
		packUntilKilled(t, dir)
		return
	}
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	cfg, committed, packed := Config{Dir: t.TempDir()}, 0, 0
	for range rounds {
		child := exec.Command(os.Args[0], "-test.run=^TestKilledWhilePacking$")
		child.Env = append(os.Environ(), dirOf+"="+cfg.Dir)
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		lines := bufio.NewScanner(out)
		for left := rand.IntN(200); left > 0 && lines.Scan(); left-- {
			committed, err = strconv.Atoi(lines.Text())
			require.NoError(t, err)
		}
		require.NoError(t, child.Process.Kill())
		for lines.Scan() { // what it had said by then
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				committed = max(committed, n)
			}
		}
		require.Error(t, child.Wait())
		j := mustOpen(t, cfg)
		all, _, report := replayed(t, j)
		for _, g := range j.segments {
			if g.packed {
				packed++
			}
		}
		crash(j)
		require.Empty(t, report.Damage)
		if committed == 0 {
			continue
		}
		require.NotEmpty(t, all)
		first := int(all[0].value)
		require.LessOrEqual(t, first, max(0, committed-needed))
		require.GreaterOrEqual(t, first+len(all), committed)
		for i, s := range all {
			n := first + i
			require.Equal(t, sample{nameOf(series.ID(n%30), 0), int64(n) / 7, float64(n)}, s)
		}
	}
	require.Greater(t, committed, needed)
	require.NotZero(t, packed)
}

// packUntilKilled commits samples whose values are their positions, says how many there are, releases what is old, and packs what is not.
func packUntilKilled(t *testing.T, dir string) {
	j := mustOpen(t, Config{Dir: dir, SegmentBytes: 3000, PackAfter: time.Nanosecond})
	passOver(t, j)
	var floor atomic.Uint64
	more := make(chan struct{})
	go func() {
		for range more {
			if _, err := j.Pack(context.Background(), time.Now().Add(time.Hour), floor.Load); err != nil {
				panic(err)
			}
		}
	}()
	for {
		_, err := j.Start(time.Now(), nobody)
		require.NoError(t, err)
		n := int(j.written)
		var ids []series.ID
		var values []float64
		for i := range 30 {
			ids, values = append(ids, series.ID((n+i)%30)), append(values, float64(n+i))
		}
		push(j, 0, ids, values)
		require.NoError(t, j.Commit())
		fmt.Println(n + 30)
		floor.Store(uint64(max(0, n-needed)))
		require.NoError(t, j.Release(floor.Load()))
		more <- struct{}{} // once it has packed what there was
	}
}

// at is a floor that stays where it is.
func at(position uint64) func() uint64 { return func() uint64 { return position } }

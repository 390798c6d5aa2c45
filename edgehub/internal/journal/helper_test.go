package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/framing"
)

// sample is one of a test: the value tells which.
type sample struct {
	name  string
	time  int64
	value float64
}

// nameOf is the text of a series of a test. A number means another series when it was forgotten.
func nameOf(id series.ID, life int) string { return fmt.Sprintf("x{id=\"%d\",life=\"%d\"}", id, life) }

// push adds samples to the group and gives series their entries.
func push(j *Journal, life int, ids []series.ID, values []float64) (added []sample) {
	unknown, gateways := j.Define(nil, ids)
	for _, id := range unknown {
		j.Series(id, nameOf(id, life))
	}
	if gateways && j.UnknownGateway(1) {
		j.Gateway("g", Life{First: 1, Ended: 2, Note: 3})
	}
	var times []int64
	for i, id := range ids {
		t := int64(values[i]) / 7 // some have the same time
		times = append(times, t)
		added = append(added, sample{nameOf(id, life), t, values[i]})
	}
	j.Add(Samples, "", time.UnixMilli(int64(values[0])), times, values)
	return added
}

func nobody() []Place { return nil }

// replayed is what a journal brings, and what it says of it.
func replayed(t testing.TB, j *Journal) (all []sample, places []Place, report Report) {
	t.Helper()
	known := map[uint32]string{}
	report, err := j.Replay(func(p []Place) { places = p }, func(r *Record) (int, error) {
		if r.Turned {
			clear(known)
		}
		for _, e := range r.Entries {
			switch {
			case e.Local != 0 && !e.Own:
				known[e.Local] = string(e.Name)
			case e.Gateway:
				require.Equal(t, Life{First: 1, Ended: 2, Note: 3}, e.Life)
			}
		}
		taken := 0
		for i, local := range r.Locals {
			if name, ok := known[local]; ok {
				all = append(all, sample{name, r.Times[i], r.Values[i]})
				taken++
			}
		}
		return taken, nil
	})
	require.NoError(t, err)
	return all, places, report
}

func mustOpen(t testing.TB, cfg Config) *Journal {
	t.Helper()
	j, err := Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// crash leaves a journal as a process that is killed does.
func crash(j *Journal) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	j.closed = true
	for _, g := range j.segments {
		if g.file != nil {
			_ = g.file.Close()
		}
	}
	_ = j.unlock()
}

func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+framing.SegmentSuffix))
	require.NoError(t, err)
	return paths
}

func edit(t testing.TB, path string, change func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, change(b), 0o600))
}

package journal

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/framing"
)

// Segments that older versions wrote are read, before and after they are packed.
func TestOlderVersions(t *testing.T) {
	four := []sample{{nameOf(1, 0), 0, 1}, {nameOf(2, 0), 0, 2}, {nameOf(3, 0), 0, 3}, {nameOf(2, 0), 0, 4}}
	var twelve []sample
	for i := range int64(12) {
		twelve = append(twelve, sample{nameOf(series.ID(i%3+1), 0), (11 + i) / 7, float64(11 + i)})
	}
	ends := []sample{{nameOf(1, 0), 8, 1}, {nameOf(2, 0), 9, 1}}
	for file, want := range map[string][]sample{
		"version1.seg":       slices.Concat(four, ends),
		"version2.seg":       slices.Concat(four, twelve, ends),
		"version2packed.seg": slices.Concat(four, twelve, ends),
	} {
		cfg := Config{Dir: t.TempDir(), SegmentBytes: 1}
		old, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, framing.SegmentName(1)), old, 0o600))
		j := mustOpen(t, cfg)
		all, places, report := replayed(t, j)
		assert.Equal(t, want, all, file)
		assert.Equal(t, "a", places[0].Scraper, file)
		assert.Empty(t, report.Damage[1:], "but for the hub's own sample, which has no name here")

		group(t, j, 30)
		_, err = j.Pack(t.Context(), time.Now().Add(time.Hour), at(0))
		require.NoError(t, err)
		require.NoError(t, j.Close())
		all, _, _ = replayed(t, mustOpen(t, cfg))
		assert.Equal(t, want, all[:len(want)], file)
	}
}

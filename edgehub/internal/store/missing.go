package store

import (
	"time"

	"github.com/hubring/hubring/edgehub/internal/journal"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
)

// Missing is a stretch of the log in which there is something that no scraper is known to have, and the ranking of the
// series that its samples are of.
type Missing struct {
	samples.Missing
	Rank *series.Ranking

	table *series.Table
}

// Missing returns the beginning of what no scraper is known to have, at most so many samples.
func (s *Store) Missing(most int) *Missing {
	for {
		t := s.table.Load()
		if m, ok := s.Log.Missing(most, t.Generation); ok {
			return &Missing{m, t.Ranked(), t}
		}
	}
}

// Gateway is the name of a gateway by its number.
func (m *Missing) Gateway(number uint32) string { return m.table.GatewayName(number) }

// PutBack puts samples of a stretch behind the log's end, too, on disk as well; then all scrapers may pass the stretch. Its error
// is that of the disk, or series.ErrReplaced, and then they may not.
func (s *Store) PutBack(m *Missing, kept *samples.Columns, runs []samples.Run, now time.Time) error {
	if err := s.Refuses(); err != nil {
		return err
	}
	var err error
	s.disk.between(func() {
		var again samples.Stretch
		if again, err = s.Log.Again(m.table.Generation, kept, runs, now); err != nil || s.disk == nil {
			return
		}
		if failed := s.disk.add([]stretch{{Stretch: again, kind: journal.Samples, table: m.table}}, now); failed != nil {
			err = failed
		}
	})
	return err
}

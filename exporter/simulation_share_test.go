package exporter

import (
	"time"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/magma"
)

// innocent says whether a Submit must be taken in. Nobody else may submit meanwhile.
func (s *schedule) innocent(items []magma.MetricAndContext) bool {
	enc := encode.New(time.Now(), s.cfg.AsGauges)
	defer enc.Release()
	enc.Encode(items)
	parcels := queue.ParcelsOf(nil, enc.Bodies)
	defer func() {
		for _, p := range parcels {
			p.Release()
		}
	}()
	return s.e.queue.MustTake(parcels)
}

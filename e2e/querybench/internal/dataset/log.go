package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/record"
	"github.com/prometheus/prometheus/tsdb/wlog"
	"github.com/prometheus/prometheus/util/compression"
)

// keepOnlyPushed takes out of a stopped server's log what tells about its own scrapes: there
// are as many of those series as there are servers, so one could not be compared with
// several. It uses Prometheus' own way to shorten a log, a checkpoint.
func keepOnlyPushed(data string) error {
	dir := filepath.Join(data, "wal")
	pushed, err := pushedSeries(dir)
	if err != nil {
		return err
	}
	from, to, err := wlog.Segments(dir)
	if err != nil {
		return err
	}
	logger := promslog.NewNopLogger()
	wal, err := wlog.New(logger, nil, dir, compression.None)
	if err != nil {
		return err
	}
	keep := func(ref chunks.HeadSeriesRef) bool { return pushed[ref] }
	if _, err := wlog.Checkpoint(logger, wal, from, to, keep, 0, false); err != nil {
		return errors.Join(err, wal.Close())
	}
	if err := errors.Join(wal.Truncate(to+1), wal.Close()); err != nil {
		return err
	}
	// Chunks that were full are in files beside the log, which has their samples as well.
	return os.RemoveAll(filepath.Join(data, "chunks_head"))
}

// pushedSeries reads from a log which series are not the server's own.
func pushedSeries(dir string) (map[chunks.HeadSeriesRef]bool, error) {
	segments, err := wlog.NewSegmentsReader(dir)
	if err != nil {
		return nil, err
	}
	defer segments.Close()
	out := map[chunks.HeadSeriesRef]bool{}
	decoder := record.NewDecoder(labels.NewSymbolTable(), promslog.NewNopLogger())
	reader := wlog.NewReader(segments)
	var found []record.RefSeries
	for reader.Next() {
		if decoder.Type(reader.Record()) != record.Series {
			continue
		}
		if found, err = decoder.Series(reader.Record(), found[:0]); err != nil {
			return nil, fmt.Errorf("read a record: %w", err)
		}
		for _, s := range found {
			if !own(s.Labels) {
				out[s.Ref] = true
			}
		}
	}
	return out, reader.Err()
}

// own says whether a series is one of a server about its scrapes, or one of a hub that is
// about no gateway.
func own(lset labels.Labels) bool {
	name := lset.Get(model.MetricNameLabel)
	return name == "up" || strings.HasPrefix(name, "scrape_") ||
		strings.HasPrefix(name, "edgehub_") && lset.Get("gatewayID") == ""
}

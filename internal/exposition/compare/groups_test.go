package compare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/stretchr/testify/require"
)

// untimed parses a response as Prometheus does, and returns the samples without a time, by series. A histogram that
// it would not store, for which it refuses the whole scrape, is an error.
func untimed(contentType string, body []byte, opts textparse.ParserOptions) (map[string]uint64, error) {
	all := map[string]uint64{}
	p, err := textparse.New(slices.Clone(body), contentType, labels.NewSymbolTable(), opts)
	if err != nil {
		return nil, err
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if entry != textparse.EntrySeries && entry != textparse.EntryHistogram {
			continue
		}
		var l labels.Labels
		p.Labels(&l)
		if name, twice := l.HasDuplicateLabelNames(); twice || !l.IsValid(model.UTF8Validation) {
			return nil, fmt.Errorf("%s is no series (%s)", l, name)
		}
		if entry == textparse.EntryHistogram {
			_, _, h, f := p.Histogram()
			if h != nil {
				err = h.Validate()
			} else {
				err = f.Validate()
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", l, err)
			}
			continue
		}
		_, at, value := p.Series()
		if at == nil {
			all[l.WithoutEmpty().String()] = math.Float64bits(value)
		}
	}
}

// Whatever is pushed to a group, beside whatever the log has, Prometheus reads each scrape, stores its histograms, and has
// the same series by text and by protobuf.
func FuzzGroups(f *testing.F) {
	f.Add([]byte("# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_sum 2\nx_count 3\ny 1\n"), []byte("# TYPE x histogram\nx_bucket{le=\"1\"} 1 60001\n"), false)
	f.Add([]byte("# TYPE x histogram\nx_bucket{le=\"1e6\"} 3\nx_bucket{le=\"2e6\"} 1\nx_sum 2\nx_count 3\n"), []byte("x_bucket{le=\"1\"} 1 60001\n"), false)
	f.Add([]byte("# TYPE x gaugehistogram\nx_bucket{le=\"1\"} 1\n# TYPE a summary\na{quantile=\"1\"} 1\na_count 1\n"), []byte("# TYPE a histogram\na_sum 1 60001\n"), false)
	f.Add([]byte("x{quantile=\"a\"} 1\nx_bucket{le=\"b\"} 1\n"), []byte("# TYPE x histogram\nx_sum 1 60001\n"), false)
	f.Add([]byte("\x22\x0a\x01n\x18\x04\x22\x1b\x3a\x19\x08\x03\x11\x00\x00\x00\x00\x00\x00\x00\x40\x28\x00\x62\x04\x08\x00\x10\x02\x6a\x02\x02\x02"), []byte(""), true)
	f.Fuzz(func(t *testing.T, group, log []byte, protobuf bool) {
		hub := pushed(t, log)
		r := httptest.NewRequest(http.MethodPut, "/metrics/job/j/k/v", bytes.NewReader(group))
		if protobuf {
			r.Header.Set("Content-Type", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
		}
		hub.ServeHTTP(httptest.NewRecorder(), r) // refused is fine
		var byFormat []map[string]uint64
		for _, accept := range []string{likesText, likesProtobuf} {
			contentType, body := answered(t, hub, accept)
			samples, err := untimed(contentType, body, textparse.ParserOptions{})
			require.NoError(t, err, "%q", body)
			_, err = untimed(contentType, body, textparse.ParserOptions{ConvertClassicHistogramsToNHCB: true})
			require.NoError(t, err, "%q", body)
			byFormat = append(byFormat, samples)
		}
		if protobuf {
			return // of a native histogram text has other series
		}
		for series, value := range byFormat[0] {
			require.Contains(t, byFormat[1], series)
			require.Equal(t, value, byFormat[1][series], series)
		}
	})
}

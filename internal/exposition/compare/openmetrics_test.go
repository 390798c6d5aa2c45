package compare

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/prometheus/model/textparse"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// openMetrics are what Prometheus 3.15 asks with where it is to have nothing but a version of OpenMetrics, and what it is told that
// it gets.
var openMetrics = []struct{ likes, contentType string }{
	{
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,*/*;q=0.6",
		"application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
	},
	{
		"application/openmetrics-text;version=2.0.0;q=0.7,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.5",
		"application/openmetrics-text; version=2.0.0; charset=utf-8; escaping=allow-utf-8",
	},
}

// openMetricsReaders are what a Prometheus may be told to make of OpenMetrics.
var openMetricsReaders = []textparse.ParserOptions{
	{EnableOpenMetrics2: true},
	{EnableOpenMetrics2: true, OpenMetricsSkipSTSeries: true}, // which it is with a feature that reads start times
}

// requireOpenMetricsSame compares what a Prometheus stores by OpenMetrics with what it does by text.
func requireOpenMetricsSame(t require.TestingT, bodies ...[]byte) (text told, byVersion []told) {
	hub := pushed(t, bodies...)
	contentType, body := answered(t, hub, likesText)
	text, err := tell(contentType, body, textparse.ParserOptions{})
	require.NoError(t, err, "%q", body)
	for _, version := range openMetrics {
		contentType, body := answered(t, hub, version.likes)
		require.Equal(t, version.contentType, contentType)
		for _, reader := range openMetricsReaders {
			got, err := tell(contentType, body, reader)
			require.NoError(t, err, "%q", body)
			byVersion = append(byVersion, got)
			// Where senders write one bucket in two ways, the formats may differ in which is first.
			if !text.again {
				require.Equal(t, text.points, got.points, "%q", body)
				require.False(t, got.again)
			}
		}
		_, err := tell(contentType, body, textparse.ParserOptions{EnableOpenMetrics2: true, ConvertClassicHistogramsToNHCB: true})
		require.NoError(t, err, "%q", body)
		_, err = tell(contentType, body[:len(body)-len("# EOF\n")], openMetricsReaders[0])
		require.ErrorContains(t, err, "EOF", "the end is missing")
	}
	return text, byVersion
}

var openMetricsSeeds = append([][]byte{
	[]byte("# TYPE a counter\n# HELP a \\\\ \"b\" \\n c\na 1 60005\na NaN 60006\na 3 60007\n# TYPE a_total counter\na_total NaN 60005\n# TYPE _total counter\n_total 5 60005\n"),
	[]byte("# TYPE c_created summary\nc_created{quantile=\"1\"} 1 60005\nc_created_sum 2 60005\nc_created_count 1 60005\n# TYPE d_created counter\nd_created 1 60005\n# TYPE e_total counter\ne_total 1 60005\ne_created 7 60005\n"),
}, sameSeeds...)

// Of whatever two senders push, a Prometheus reads what is written as OpenMetrics, and stores the same as by text.
func FuzzOpenMetrics(f *testing.F) {
	for i, one := range openMetricsSeeds {
		f.Add(one, openMetricsSeeds[(i+1)%len(openMetricsSeeds)])
	}
	f.Fuzz(func(t *testing.T, one, two []byte) { requireOpenMetricsSame(t, one, two) })
}

// What is said of families is the same, too, but for the names and types of counters in version 1.0: the name lacks its _total,
// and without that the type is unknown.
func TestOpenMetricsMetadata(t *testing.T) {
	text, byVersion := requireOpenMetricsSame(t, openMetricsSeeds...)
	for i, got := range byVersion {
		first := i < len(openMetricsReaders)
		for name, kind := range text.types {
			switch {
			case first && kind == "counter" && name == "a_total":
				assert.Equal(t, kind, got.types["a"])
			case first && kind == "counter" && name == "e_total":
				assert.Equal(t, kind, got.types["e"])
			case first && kind == "counter":
				assert.Contains(t, []string{"", "unknown", "counter"}, string(got.types[name]), name)
			}
		}
		assert.Equal(t, text.helps["g"], got.helps["g"])
	}
}

// A Prometheus that converts histograms loses points of one that comes twice, as it does by text.
func TestConvertedHistogramsByOpenMetrics(t *testing.T) {
	hub := pushed(t, sameSeeds[1])
	for _, version := range openMetrics {
		contentType, body := answered(t, hub, version.likes)
		got, err := tell(contentType, body, textparse.ParserOptions{EnableOpenMetrics2: true, ConvertClassicHistogramsToNHCB: true})
		require.NoError(t, err)
		assert.Less(t, got.histograms[`{__name__="h", a="b"}`], 2, "if it has both, the README's advice is old")
	}
}

// Whatever is pushed to a group, beside whatever the log has, a Prometheus reads, and has the same series as by text.
func FuzzOpenMetricsGroups(f *testing.F) {
	f.Add([]byte("# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_sum 2\nx_count 3\ny 1\n"), []byte("# TYPE x histogram\nx_bucket{le=\"1\"} 1 60001\n"), false)
	f.Add([]byte("# TYPE x gaugehistogram\nx_bucket{le=\"1\"} 1\n# TYPE a summary\na{quantile=\"1\"} 1\na_count 1\n"), []byte("# TYPE a histogram\na_sum 1 60001\n"), false)
	f.Add([]byte("# TYPE x counter\nx NaN\n# TYPE s summary\ns{quantile=\"1\"} 1\ns{quantile=\"0.5\"} 1\ns_count 1\n"), []byte("# TYPE x gauge\nx 1 60001\n"), false)
	f.Add([]byte("\x22\x0a\x01n\x18\x04\x22\x1b\x3a\x19\x08\x03\x11\x00\x00\x00\x00\x00\x00\x00\x40\x28\x00\x62\x04\x08\x00\x10\x02\x6a\x02\x02\x02"), []byte(""), true)
	f.Fuzz(func(t *testing.T, group, log []byte, protobuf bool) {
		hub := pushed(t, log)
		r := httptest.NewRequest(http.MethodPut, "/metrics/job/j/k/v", bytes.NewReader(group))
		if protobuf {
			r.Header.Set("Content-Type", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
		}
		hub.ServeHTTP(httptest.NewRecorder(), r) // refused is fine
		contentType, body := answered(t, hub, likesText)
		text, err := untimed(contentType, body, textparse.ParserOptions{})
		require.NoError(t, err, "%q", body)
		for _, version := range openMetrics {
			contentType, body := answered(t, hub, version.likes)
			got, err := untimed(contentType, body, textparse.ParserOptions{EnableOpenMetrics2: true})
			require.NoError(t, err, "%q", body)
			_, err = untimed(contentType, body, textparse.ParserOptions{EnableOpenMetrics2: true, ConvertClassicHistogramsToNHCB: true})
			require.NoError(t, err, "%q", body)
			for series, value := range text {
				require.Contains(t, got, series)
				require.Equal(t, value, got[series], series)
			}
		}
	})
}

package relay

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/edgehub/internal/intake"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// filled is a store with native histograms of some gateways, and numbers with exemplars of others.
func filled(t *testing.T, gateways, histograms int) *store.Store {
	s := store.New(store.Config{
		Series:  series.Limits{Series: 1 << 20, GatewaySeries: 1 << 20, TableBytes: 1 << 30},
		Samples: 1 << 24, IdleSeries: time.Hour, Scrapers: []string{""},
	})
	in := intake.New(intake.Config{Limits: exposition.DefaultLimits, GatewayLabel: "gatewayID", MaxSamples: 1 << 24}, s, body.NewRoom(1<<30))
	exemplar, err := proto.Marshal(&dto.Exemplar{Value: proto.Float64(1)})
	require.NoError(t, err)
	_, _, err = in.Take(time.Now(), func(to decode.Sink) error {
		require.NoError(t, to.Type([]byte("requests_total"), []byte("counter")))
		for g := range gateways {
			for i := range histograms {
				message, err := proto.Marshal(&dto.Histogram{SampleCount: proto.Uint64(uint64(i)), ZeroCount: proto.Uint64(uint64(i)), ZeroThreshold: proto.Float64(1)})
				require.NoError(t, err)
				require.NoError(t, to.Histogram(fmt.Appendf(nil, "duration{gatewayID=\"%d\"}", g), int64(1+i), message))
				require.NoError(t, to.Sample(fmt.Appendf(nil, "requests_total{gatewayID=\"%d\"}", g), int64(1+i), float64(i)))
				require.NoError(t, to.Exemplar(exemplar))
			}
		}
		for g := range gateways {
			require.NoError(t, to.Sample(fmt.Appendf(nil, "plain{gatewayID=\"plain %d\"}", g), 1, 1))
		}
		return nil
	})
	require.NoError(t, err)
	return s
}

// far is another hub that notes what it is given.
type far struct {
	most                                     int // bytes of a body
	older                                    bool
	histograms, counters, exemplars, written int // written is of letters
}

func (f *far) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(exposition.HubHeader, exposition.HubID{Name: "far"}.String())
	w.Header().Set("Accept-Encoding", "gzip")
	refuse := func(status int, why string) {
		w.Header().Set(exposition.ReasonHeader, why)
		w.WriteHeader(status)
	}
	in := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if in, err = gzip.NewReader(in); err != nil {
			refuse(http.StatusBadRequest, "encoding")
			return
		}
	}
	text, err := io.ReadAll(in)
	isProtobuf := r.Header.Get("Content-Type") == exposition.ProtobufContentType
	switch {
	case err != nil:
		refuse(http.StatusBadRequest, "unreadable")
	case isProtobuf && f.older:
		refuse(http.StatusUnsupportedMediaType, "content_type")
	case len(text) > f.most:
		refuse(http.StatusRequestEntityTooLarge, "body_too_large")
	case isProtobuf:
		for buf := bytes.NewReader(text); ; {
			var m dto.MetricFamily
			if err := protodelim.UnmarshalFrom(buf, &m); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				refuse(http.StatusBadRequest, "malformed")
				return
			}
			for _, metric := range m.Metric {
				switch {
				case metric.Histogram.GetZeroThreshold() > 0 && int64(metric.Histogram.GetZeroCount()) == metric.GetTimestampMs()-1:
					f.histograms++
				case metric.Counter.GetExemplar() != nil:
					f.exemplars++
					f.counters++
				case metric.Counter != nil:
					f.counters++
				}
			}
		}
	default:
		f.written += strings.Count("\n"+string(text), "\nplain")
	}
}

func relayTo(t *testing.T, s *store.Store, f *far) *Relay {
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	to, err := url.Parse(server.URL)
	require.NoError(t, err)
	return New(Config{Store: s, Client: server.Client(), Name: "near", Pass: func(pass func() []int) { pass() }}, to)
}

// What is more than a number reaches another hub whole, wherever a chunk or a request ends.
func TestRelayOfWords(t *testing.T) {
	const gateways, histograms = 7, 3001
	for _, most := range []int{1 << 30, 10_000, 500} {
		s, f := filled(t, gateways, histograms), &far{most: most}
		require.Greater(t, s.Log.Behind(), 2*chunkSamples)
		r := relayTo(t, s, f)
		require.NoError(t, r.Run(t.Context()))
		assert.Equal(t, gateways*histograms, f.histograms, most)
		assert.Equal(t, gateways*histograms, f.counters, most)
		assert.Equal(t, gateways*histograms, f.exemplars, most)
		assert.Equal(t, gateways, f.written, most)
		assert.Zero(t, r.Account().Left)
		assert.Zero(t, s.Log.Behind())
	}
}

// An older hub takes what is numbers, and the rest waits here, whole.
func TestRelayOfWordsToAnOlderHub(t *testing.T) {
	s, f := filled(t, 3, 10), &far{most: 1 << 30, older: true}
	r := relayTo(t, s, f)
	before := s.Log.Behind()
	err := r.Run(t.Context())
	var failed *Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, Refused, failed.Reason)
	assert.Equal(t, 3, f.written)
	assert.Zero(t, f.histograms)
	assert.Equal(t, before-3, r.Account().Left)

	f.older = false
	again := relayTo(t, s, f)
	require.NoError(t, again.Run(t.Context()))
	assert.Equal(t, 30, f.histograms)
	assert.Equal(t, 30, f.exemplars)
}

// A request that is one sample and what follows it cannot be parted.
func TestOneSampleIsNotParted(t *testing.T) {
	s, f := filled(t, 1, 2), &far{most: 60}
	r := relayTo(t, s, f)
	var failed *Error
	require.ErrorAs(t, r.Run(t.Context()), &failed)
	assert.Equal(t, Refused, failed.Reason)
	assert.Equal(t, 1, f.written)
}

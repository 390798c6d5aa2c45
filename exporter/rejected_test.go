package exporter

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/magma"
)

func TestRejectedError(t *testing.T) {
	says := func(e *RejectedError, want string) {
		t.Helper()
		assert.EqualError(t, e, want)
	}
	says(&RejectedError{Total: 3}, "3 samples are rejected")
	says(&RejectedError{Total: 3, Samples: []RejectedSample{{Count: 3, Reason: "r"}}}, "3 samples are rejected, the first 3: r")
	var e *RejectedError
	e = e.add(RejectedSample{Network: "n", Gateway: "g", Metric: "m", Label: "a-b\n", Count: 4, Reason: "invalid_label_name"})
	says(e, `4 samples are rejected, the first 4 of metric "m" of gateway "g" of network "n" with label "a-b\n": invalid_label_name; by reason: invalid_label_name 4`)
	e = e.add(RejectedSample{Gateway: "h", Count: 5, Reason: "rejected_400", Hub: "hub-0", Detail: "line 3"})
	e = e.add(RejectedSample{Count: 1, Reason: "rejected_400"})
	assert.True(t, strings.HasSuffix(e.Error(), "; by reason: rejected_400 6, invalid_label_name 4"), e.Error())
	assert.Equal(t, `5 of gateway "h": rejected_400 by hub "hub-0" saying "line 3"`, e.Samples[1].String())
}

// However much is rejected, the error stays small.
func TestRejectedErrorIsBounded(t *testing.T) {
	var e *RejectedError
	long := strings.Repeat("\n", 10_000)
	for range 10 * maxRejected {
		e = e.add(RejectedSample{Network: long, Gateway: long, Metric: long, Label: long, Hub: long, Detail: long, Count: 1, Reason: "too_long"})
	}
	assert.Equal(t, 10*maxRejected, e.Total)
	assert.Len(t, e.Samples, maxRejected)
	assert.Less(t, len(e.Error()), 2000)
	assert.NotContains(t, e.Error(), "\n")
}

// The encoder says what it left out, and which label was at fault.
func TestEncoderSaysWhatItRejects(t *testing.T) {
	bad := family(t, `name:"m-1" type:HISTOGRAM
		metric:{label:{name:"le" value:"1"} histogram:{bucket:{upper_bound:1}}}
		metric:{label:{name:"a-b" value:"1"} histogram:{}}
		metric:{histogram:{}}`)
	e := encode.New(time.UnixMilli(1000), false)
	e.Encode([]magma.MetricAndContext{{Family: gaugeFamily("g", 1), Context: gw}})
	assert.Nil(t, rejection(e))
	e.Release()

	e = encode.New(time.UnixMilli(1000), false)
	e.Encode([]magma.MetricAndContext{{Family: bad, Context: gw}, {Family: nil, Context: gw}, {Family: gaugeFamily("g", 1), Context: magma.MetricContext{AdditionalContext: &magma.CloudMetricContext{CloudHost: "\xff"}}}})
	got := rejection(e)
	e.Release()
	require.NotNil(t, got)
	of := func(metric, label string, count int, why reason.Reason) RejectedSample {
		return RejectedSample{Network: "n", Gateway: "g", Metric: metric, Label: label, Count: count, Reason: why.String()}
	}
	assert.Equal(t, []RejectedSample{
		{Metric: "g", Label: "cloudHost", Count: 1, Reason: "invalid_label_value"}, // of no gateway: first in the order
		of("m_1", "le", 4, reason.ReservedLabel),
		of("m_1", "a-b", 3, reason.InvalidLabelName),
		of("", "", 1, reason.MissingMetric),
	}, got.Samples)
	assert.Equal(t, 9, got.Total)

	e = encode.New(time.UnixMilli(1000), false)
	assert.Nil(t, rejection(e), "the next Submit begins anew")
	e.Release()
}

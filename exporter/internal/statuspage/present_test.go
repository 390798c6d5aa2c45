package statuspage

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/status"
)

// Credentials are in no answer, wherever they came from.
func TestReportHasNoPassword(t *testing.T) {
	for text, want := range map[string]string{
		"http://hub-0:9091/x@y": "http://hub-0:9091/x@y",
		`proxy "https://me:s3@cret@proxy:3128" refused, http://a@b/`: `proxy "https://***@proxy:3128" refused, http://***@b/`,
		"mail me@example.com": "mail me@example.com",
	} {
		assert.Equal(t, want, withoutCredentials(text))
	}
	assert.Equal(t, "http://me:xxxxx@hub-0", redacted("http://me:s3cret@hub-0"))
	assert.Empty(t, redacted("http://me:s3cret@hub-0:port"))
}

// What a report has from others is looked through, and lists are there when they are empty.
func TestPresentable(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 123_456_789, time.FixedZone("", 3600))
	const secret = "http://me:secret@a"
	r := status.Report{
		Time: at, Members: status.Members{Detail: secret, LastError: secret, LastSuccess: at, LastChange: at},
		Hubs:    []status.Hub{{URL: secret, LastError: secret, LastErrorAt: at, DownSince: at, NextProbe: at}},
		Gateway: &status.Gateway{HeldUntil: at, Untold: []status.Untold{{EndedAt: at}}},
	}
	Present(&r)
	text, err := json.Marshal(r)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "secret")
	assert.NotContains(t, string(text), "456")
	assert.Equal(t, 8, strings.Count(string(text), `"2029-12-31T23:00:00.123Z"`))
	assert.Contains(t, string(text), `"held":[],"fresh":[]`)
	assert.Contains(t, string(text), `"deaf":[]`)
}

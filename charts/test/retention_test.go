package charttest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A server keeps no more than fits on its volume, whatever the fleet sends. Prometheus' MB are powers of 2.
func TestRetentionFitsTheVolume(t *testing.T) {
	for values, want := range map[string]string{
		`{}`:                                                    "40960MB",
		`{persistence: {size: 220Gi}}`:                          "180224MB",
		`{persistence: {size: 1.5Ti}}`:                          "1258291MB",
		`{persistence: {size: 100G}}`:                           "76293MB", // 95,367 MiB
		`{persistence: {size: "20000000000"}}`:                  "15258MB",
		`{persistence: {enabled: false}}`:                       "", // nobody knows how much there is
		`{retentionSize: "0"}`:                                  "",
		`{retentionSize: 0}`:                                    "",
		`{retentionSize: 30GB}`:                                 "30GB",
		`{retentionSize: 50GB, persistence: {size: 50Gi}}`:      "50GB",
		`{retentionSize: 300GB, persistence: {enabled: false}}`: "300GB",
	} {
		r := mustRender(t, "prometheus: "+values)
		assert.Equal(t, want, flagValue(t, r.servers(t)[0].args, "storage.tsdb.retention.size", ""), values)
	}
	_, err := render(releaseName, `{prometheus: {retentionSize: 51GB}}`)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "prometheus.retentionSize is 51GB, more than prometheus.persistence.size, 50Gi: make it some 80 % of the volume, or leave it empty")
}

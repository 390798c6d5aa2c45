package otlp

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever the points before had, a point has the labels that it has in a request of its own.
func TestPointsThatRepeat(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	values := []string{"v", "", "longer"}
	attributes := func() string {
		var list []string
		for _, key := range []string{"gatewayID", "k.k", "k_k", "le", "quantile", "z"} {
			if random.IntN(3) == 0 {
				list = append(list, str(key, values[random.IntN(len(values))]))
			}
		}
		return strings.Join(list, ",")
	}
	point := func() string {
		parts := []string{`"timeUnixNano":"5000000000"`, `"attributes":[` + attributes() + `]`}
		if random.IntN(4) == 0 {
			parts = append(parts, `"flags":0`, `"attributes":[`+attributes()+`]`)
		}
		if random.IntN(2) == 0 {
			parts = append(parts, parts[0])
		}
		return `{` + strings.Join(parts, ",") + `}`
	}
	kinds := []string{"gauge", "sum", "histogram", "exponentialHistogram", "summary"}
	for range 300 {
		var resources, alone []string
		repeated := point()
		for resource := range 2 {
			var metrics []string
			named := fmt.Sprintf(`%s,%s`, str("service.name", strconv.Itoa(resource)), str("gatewayID", "gw"))
			for n := range 6 {
				kind := kinds[random.IntN(len(kinds))]
				for range 2 { // each a family of its own, which is described in each request
					metric := fmt.Sprintf(`{"name":"m%d%d%d","%s":{"aggregationTemporality":2,"dataPoints":[%s,%s]}}`, resource, n, len(metrics), kind, repeated, point())
					metrics = append(metrics, metric)
					alone = append(alone, withoutTarget(t, of(named, metric))...)
				}
			}
			one := of(named, strings.Join(metrics, ","))
			resources = append(resources, strings.TrimSuffix(strings.TrimPrefix(one, `{"resourceMetrics":[`), `]}`))
		}
		require.Equal(t, alone, withoutTarget(t, `{"resourceMetrics":[`+strings.Join(resources, ",")+`]}`))
	}
}

// withoutTarget is what a request brings but what is said of its resource.
func withoutTarget(t *testing.T, request string) (lines []string) {
	r := &recorder{t: t}
	require.NoError(t, r.read(defaults, request))
	for _, line := range r.lines {
		if !strings.Contains(line, "target_info") {
			lines = append(lines, line)
		}
	}
	return lines
}

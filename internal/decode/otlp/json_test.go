package otlp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// JSON as SDKs write it: numbers of eight bytes as text or not, either form of a name, anything that is not known.
func TestJSON(t *testing.T) {
	for request, want := range map[string]string{
		`{"resource_metrics":[{"scope_metrics":[{"metrics":[{"name":"x","gauge":{"data_points":[{"time_unix_nano":1e9,"as_int":1e3}]}}]}]}]}`:             "x 1000 @1000",
		`{ "resourceMetrics" : [ { "resource" : null , "scopeMetrics":[{"metrics":[{"name":"x","gauge":{"dataPoints":[{"asInt":"1"}]}}]}] } ] }`:          "x 1 @arrival",
		`{"new":{"a":[1,-2.5e-7,"\"",true,false,null,{}]},"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"x","gauge":{"dataPoints":[{}]}}]}]}]}`: "x 0 @arrival",
		`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"\u0078\ud83d\ude00\ud83d\\\/","gauge":{"dataPoints":[{}]}}]}]}]}`:                      "x 0 @arrival",
	} {
		r := &recorder{t: t}
		require.NoError(t, r.read(defaults, request))
		assert.Equal(t, want, r.lines[1], request)
	}
	long := strings.Repeat("long", 50)
	r := &recorder{t: t}
	require.NoError(t, r.read(defaults, of("", `{"name":"`+long+`","gauge":{"dataPoints":[{}]}}`)))
	assert.Equal(t, long+" 0 @arrival", r.lines[1])
}

func TestBrokenJSON(t *testing.T) {
	for request, want := range map[string]string{
		``:                       "at byte 0: '{' is expected",
		`[]`:                     "at byte 0: '{' is expected",
		`{} x`:                   "at byte 3: something follows",
		`{"a":1,}`:               "at byte 7: a string is expected",
		`{"a" 1}`:                "':' is expected",
		`{"a":01}`:               "'}' or ',' is expected",
		`{"a":1.}`:               "a number is expected",
		`{"a":+1}`:               "a number is expected",
		`{"a":nul}`:              "a number is expected",
		`{"a":"x`:                "no end",
		`{"a":"\`:                "no end",
		"{\"a\":\"\x01\"}":       "control character",
		"{\"a\":\"\\n\x01\"}":    "control character",
		`{"a":"\x"}`:             "an escape",
		`{"a":"\u12g4"}`:         "an escape",
		`{"resourceMetrics":{}}`: "'[' is expected",
		`{"a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`: "more than 256",
	} {
		_, err := FromJSON(nil, []byte(request))
		require.ErrorContains(t, err, want, request)
	}
	for point, want := range map[string]string{
		`"asInt":1.5`:                                 "a whole number",
		`"asInt":"9223372036854775808"`:               "a whole number",
		`"timeUnixNano":-1`:                           "a whole number",
		`"timeUnixNano":"1x"`:                         "a whole number",
		`"asDouble":"one"`:                            "a number",
		`"asDouble":"1e999"`:                          "out of range",
		`"exemplars":[{"traceId":"x"}]`:               "invalid byte",
		`"attributes":[{"value":{"boolValue":1}}]`:    "true or false",
		`"attributes":[{"value":{"bytesValue":"*"}}]`: "illegal base64",
	} {
		_, err := FromJSON(nil, []byte(of("", `{"gauge":{"dataPoints":[{`+point+`}]}}`)))
		require.ErrorContains(t, err, want, point)
	}
	_, err := FromJSON(nil, []byte(of("", `{"sum":{"aggregationTemporality":"LATELY"}}`)))
	require.ErrorContains(t, err, `"LATELY" is no temporality`)
}

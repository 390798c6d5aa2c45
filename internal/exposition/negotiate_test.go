package exposition

import (
	"mime"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNegotiate(t *testing.T) {
	f := func(want Escaping, version string, lines ...string) {
		t.Helper()
		escaping, contentType := Negotiate(http.Header{"Accept": lines})
		assert.Equal(t, want, escaping, "%q", lines)
		if version == "0.0.4" {
			assert.Equal(t, ContentType, contentType, "%q", lines)
		} else {
			assert.Equal(t, "text/plain; version=1.0.0; charset=utf-8; escaping="+want.String(), contentType, "%q", lines)
		}
	}
	// What scrapers send: Prometheus 3.15, told to validate names the old way or to escape
	// them, 2.53, VictoriaMetrics, Telegraf, a browser.
	const openMetrics = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=0.0.1;q=0.6,"
	f(AllowUTF8, "1.0.0", openMetrics+"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3")
	f(Underscores, "1.0.0", openMetrics+"text/plain;version=1.0.0;escaping=underscores;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3")
	f(Dots, "1.0.0", openMetrics+"text/plain;version=1.0.0;escaping=dots;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3")
	f(Values, "1.0.0", openMetrics+"text/plain;version=1.0.0;escaping=values;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3")
	f(Values, "0.0.4", "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
	f(Values, "0.0.4", "text/plain;version=0.0.4;q=1,*/*;q=0.1")
	f(Values, "0.0.4", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3")
	f(Values, "0.0.4", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")

	// Nothing that is spoken.
	f(Values, "0.0.4")
	f(Values, "0.0.4", "")
	f(Values, "0.0.4", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8")
	f(Values, "0.0.4", openMetrics+"text/html;version=1.0.0;escaping=dots")
	f(Values, "0.0.4", "text/plain;version=2.0.0;escaping=dots")
	f(Values, "0.0.4", "text/plain;version=1.0.0")
	f(Values, "0.0.4", "text/plain;version=1.0.0;escaping=none")
	f(Values, "0.0.4", "text/plain;version=1.0.0;escaped=dots")
	f(Values, "0.0.4", "text/plain;version=0.0.4;escaping=underscores")
	f(Values, "0.0.4", ",;,/,;q=1", "text/plain;;=;q=0.5")

	// Version 0.0.4, or none, with UTF-8.
	f(AllowUTF8, "0.0.4", "text/plain;version=0.0.4;escaping=allow-utf-8")
	f(AllowUTF8, "0.0.4", "*/*;q=0.1", `text/plain; Escaping = "allow-utf-8"`)

	// Qualities, exactness, order.
	f(Dots, "1.0.0", "text/plain;version=0.0.4;q=0.2,text/plain;version=1.0.0;escaping=dots;q=0.3")
	f(Values, "0.0.4", "text/plain;version=0.0.4;q=0.3,text/plain;version=1.0.0;escaping=dots;q=0.2")
	f(Dots, "1.0.0", "text/plain;version=0.0.4;q=0.2", "text/plain;version=1.0.0;escaping=dots")
	f(Dots, "1.0.0", "text/plain;version=2.0.0;escaping=values;q=0.9,text/plain;version=1.0.0;escaping=dots;q=0.3")
	f(Dots, "1.0.0", "*/*,text/*,text/plain;version=1.0.0;escaping=dots")
	f(Dots, "1.0.0", "*/*,text/*;version=1.0.0;escaping=dots")
	f(Values, "0.0.4", "*/*,text/plain;version=1.0.0;escaping=dots;q=0.9")
	f(Dots, "1.0.0", "text/plain;version=1.0.0;escaping=dots,text/plain;version=1.0.0;escaping=underscores")
	f(Values, "0.0.4", "text/plain;version=1.0.0;escaping=dots;q=0")
	f(Underscores, "1.0.0", "text/plain;version=1.0.0;escaping=dots;q=0.000,text/plain;version=1.0.0;escaping=underscores;q=0.001")
	for _, q := range []string{"much", "", "-1", "NaN", "0"} {
		f(Values, "0.0.4", "text/plain;version=1.0.0;escaping=dots;q="+q)
	}
	f(Underscores, "1.0.0", "text/plain;version=1.0.0;escaping=underscores;q=1,text/plain;version=1.0.0;escaping=dots;q=7")

	// Case of letters, blanks, quotes.
	f(Dots, "1.0.0", "\tText/PLAIN ; Version = \"1.0.0\" ; ESCAPING=\"Dots\" ; Q = 0.5 , text/plain; q=0.4")
	f(AllowUTF8, "1.0.0", `text/plain;escaping="allow-utf-8";q="0.5";version="1.0.0"`)
}

// Prometheus' own library reads the same of headers in which text comes first, and the
// Content-Type.
func TestNegotiateIsPrometheus(t *testing.T) {
	for _, e := range escapings {
		accept := http.Header{"Accept": {"text/plain;version=1.0.0;escaping=" + e.String() + ";q=0.5,*/*;q=0.3"}}
		escaping, contentType := Negotiate(accept)
		assert.Equal(t, e, escaping)
		assert.Equal(t, schemes[e], expfmt.NegotiateAccept(accept, expfmt.NewFormat(expfmt.TypeTextPlain)).ToEscapingScheme())
		assert.Equal(t, schemes[e], expfmt.Format(contentType).ToEscapingScheme())
		media, params, err := mime.ParseMediaType(contentType)
		require.NoError(t, err)
		assert.Equal(t, "text/plain", media)
		assert.Equal(t, map[string]string{"version": "1.0.0", "charset": "utf-8", "escaping": e.String()}, params)
	}
}

func TestNegotiateProtobuf(t *testing.T) {
	const protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	f := func(want Standing, escaping Escaping, lines ...string) {
		t.Helper()
		standing, e := NegotiateProtobuf(http.Header{"Accept": lines})
		assert.Equal(t, want, standing, "%q", lines)
		assert.Equal(t, escaping, e, "%q", lines)
	}
	// Prometheus 3.15 by default, told to like protobuf or only that, 2.53 with native histograms;
	// Telegraf; VictoriaMetrics.
	const openMetrics = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=0.0.1;q=0.6,"
	f(NotNamed, Values, openMetrics+"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3")
	f(Ahead, AllowUTF8, protobuf+";q=0.7,"+openMetrics+"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
	f(Ahead, AllowUTF8, protobuf+";q=0.7,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4")
	f(Ahead, Underscores, protobuf+";q=0.7,text/plain;version=1.0.0;escaping=underscores;q=0.6,*/*;q=0.5")
	f(Ahead, Values, protobuf+";q=0.7,*/*;q=0.6")
	f(Ahead, Values, protobuf+",application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
	f(Ahead, Values, protobuf+";q=0.7,text/plain;version=0.0.4;q=0.3")
	f(NotNamed, Values, "text/plain;version=0.0.4;q=1,*/*;q=0.1")
	f(NotNamed, Values)

	// Qualities, and an escaping of its own.
	f(Ahead, Values, "text/plain;q=0.5", protobuf+";q=0.5")
	f(Behind, Values, "text/plain;q=0.6", protobuf+";q=0.5")
	f(Behind, Values, "*/*", protobuf+";q=0.5")
	f(Alone, Values, protobuf)
	f(Alone, Dots, protobuf+";escaping=dots", "text/plain;q=0;escaping=underscores")
	f(Ahead, Dots, "text/plain;version=1.0.0;escaping=underscores", protobuf+";escaping=dots")
	f(NotNamed, Values, protobuf+";q=0")
	f(Alone, Values, "application/openmetrics-text", protobuf+";q=0.1")

	// Other messages, and other ways to write them.
	f(NotNamed, Values, "application/vnd.google.protobuf")
	f(NotNamed, Values, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily")
	f(NotNamed, Values, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text")
	f(NotNamed, Values, "application/vnd.google.protobuf;proto=io.prometheus.write.v2.Request;encoding=delimited")
	f(Alone, Values, ProtobufContentType)
}

func TestNegotiateOpenMetrics(t *testing.T) {
	const protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	f := func(want OpenMetrics, second bool, lines ...string) {
		t.Helper()
		if want.Standing != NotNamed {
			want.ContentType = "application/openmetrics-text; version=" + want.Version + "; charset=utf-8" + want.ContentType
		}
		assert.Equal(t, want, NegotiateOpenMetrics(http.Header{"Accept": lines}, second), "%q", lines)
	}
	// Prometheus 3.15 by default, told to have one version only, or protobuf first; 2.45; VictoriaMetrics; Telegraf.
	const first = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=0.0.1;q=0.6,"
	const text = "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
	utf8 := OpenMetrics{Ahead, "1.0.0", AllowUTF8, "; escaping=allow-utf-8"}
	f(utf8, false, first+text)
	f(OpenMetrics{Alone, "1.0.0", AllowUTF8, "; escaping=allow-utf-8"}, false, "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,*/*;q=0.6")
	f(OpenMetrics{Alone, "0.0.1", Values, ""}, false, "application/openmetrics-text;version=0.0.1;q=0.7,*/*;q=0.6")
	f(OpenMetrics{Behind, "1.0.0", AllowUTF8, "; escaping=allow-utf-8"}, false, protobuf+";q=0.8,"+first+text)
	f(OpenMetrics{Ahead, "1.0.0", Values, ""}, false, "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
	f(OpenMetrics{}, false, "text/plain;version=0.0.4;q=1,*/*;q=0.1")
	f(OpenMetrics{}, false, protobuf+";q=0.7,text/plain;version=0.0.4;q=0.3")
	f(OpenMetrics{}, false)

	// Version 2.0.0, where it is allowed. It has no escaping of its own.
	const second = "application/openmetrics-text;version=2.0.0;q=0.8,"
	f(utf8, false, second+first+text)
	f(OpenMetrics{Ahead, "2.0.0", AllowUTF8, "; escaping=allow-utf-8"}, true, second+first+text)
	f(utf8, true, first+strings.Replace(second, "0.8", "0.2", 1)+text)
	f(OpenMetrics{Alone, "2.0.0", Values, ""}, true, second+"*/*;q=0.7")
	f(OpenMetrics{}, false, second+"*/*;q=0.7")
	f(OpenMetrics{Alone, "1.0.0", Dots, "; escaping=dots"}, true, second+"application/openmetrics-text;escaping=dots")

	// Qualities. Text is liked as much where nothing else is said.
	f(OpenMetrics{Behind, "1.0.0", Values, ""}, false, "application/openmetrics-text", "text/plain")
	f(OpenMetrics{Behind, "1.0.0", Values, ""}, false, "*/*, application/openmetrics-text")
	f(OpenMetrics{Behind, "1.0.0", Values, ""}, false, "text/plain;q=0.6,application/openmetrics-text;q=0.5")
	f(OpenMetrics{Behind, "1.0.0", Values, ""}, false, protobuf+";q=0.6,application/openmetrics-text;q=0.5")
	f(OpenMetrics{Ahead, "1.0.0", Values, ""}, false, protobuf+";q=0.4,application/openmetrics-text;q=0.5")
	f(OpenMetrics{Alone, "1.0.0", Values, ""}, false, "Application/OpenMetrics-Text")
	f(OpenMetrics{Alone, "1.0.0", Values, ""}, false, "application/openmetrics-text;q=0.5,text/plain;q=0")
	f(OpenMetrics{}, false, "application/openmetrics-text;q=0")
	f(OpenMetrics{}, false, "application/openmetrics-text;version=3.0.0")
	f(OpenMetrics{}, false, "application/*")
}

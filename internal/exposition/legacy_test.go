package exposition

import (
	"testing"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAppendName(t *testing.T) {
	f := func(name, want string) {
		t.Helper()
		assert.Equal(t, "# "+want, string(AppendName([]byte("# "), name)))
	}
	f("up", "up")
	f("job:up:sum", "job:up:sum")
	f("my.metric", `"my.metric"`)
	f("1up", `"1up"`)
	f("say \"x\"\n\\", `"say \"x\"\n\\"`)
}

func TestAppendLabelName(t *testing.T) {
	f := func(name, want, legacy string) {
		t.Helper()
		assert.Equal(t, want, string(AppendLabelName(nil, name)))
		assert.Equal(t, legacy, string(AppendLegacyLabelName(nil, name)))
	}
	f("gatewayID", "gatewayID", "gatewayID")
	f("gateway.id", `"gateway.id"`, "U__gateway_2e_id")
	f(`a:"b"`, `"a:\"b\""`, "U__a_3a__22_b_22_")
}

func TestAppendLegacy(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		assert.Equal(t, "# "+want, string(AppendLegacy([]byte("# "), []byte(text))))
	}
	f(`x`, `x`)
	f(`x{a="b"}`, `x{a="b"}`)
	f(`{"my.metric"}`, `U__my_2e_metric`)
	f(`{"my.metric",a="b"}`, `U__my_2e_metric{a="b"}`)
	f(`{"my_metric.größe","a.b"="c \"d\"",e="f"}`, `U__my__metric_2e_gr_f6__df_e{U__a_2e_b="c \"d\"",e="f"}`)
	f(`x{"a:b"="c"}`, `x{U__a_3a_b="c"}`)
	f(`x{"1"="2"}`, `x{U___31_="2"}`)
	// Two labels never become one.
	f(`x{U__a_2e_b="1","a.b"="2"}`, `x{U__a_2e_b="1",U__a_2e_b_="2"}`)
	f(`x{U__a_2e_b="1",U__a_2e_b_="2","a.b"="3"}`, `x{U__a_2e_b="1",U__a_2e_b_="2",U__a_2e_b__="3"}`)
	f(`not a series`, `not a series`)
}

// Names are escaped as Prometheus' own library does, and can be unescaped by it.
func TestPropertyLegacyNamesArePrometheus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z_:.0-9µ€😀 ]{1,8}`).Draw(t, "name")
		got := string(AppendLegacyName(nil, name))
		require.Equal(t, model.EscapeName(name, model.ValueEncodingEscaping), got)
		require.True(t, ValidMetricName(got), "%s", got)
		label := string(appendLegacy(nil, name, inLabel))
		require.True(t, ValidLabelName(label), "%s", label)
		require.Equal(t, name, model.UnescapeName(label, model.ValueEncodingEscaping))
	})
}

package exposition

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseSeriesMakesOneTextOfManySpellings(t *testing.T) {
	f := func(want string, spellings ...string) {
		t.Helper()
		for _, s := range spellings {
			got, err := ParseSeries([]byte(s), Limits{})
			require.NoError(t, err, "%s", s)
			assert.Equal(t, want, got.Text, "%s", s)
			assert.Equal(t, "x", got.Name)
		}
	}
	f(`x`, `x`, `x{}`, `x{ }`, `x {}`, `x{a=""}`)
	f(`x{a="1",b="2"}`, `x{a="1",b="2"}`, `x{b="2",a="1"}`, `x{b="2", a="1",}`, `x { a = "1" , b = "2" }`, `x{a="1",b="2",c=""}`)
	f(`x{a="\\ \" \n"}`, `x{a="\\ \" \n"}`)
	f(`x{a="\\t"}`, `x{a="\t"}`, `x{a="\\t"}`)
	f(`x{a="},{=\""}`, `x{a="},{=\""}`)
	f(`x{a="µ"}`, `x{a="µ"}`)
}

func TestParseSeriesRefuses(t *testing.T) {
	f := func(spelling, want string) {
		t.Helper()
		_, err := ParseSeries([]byte(spelling), Limits{SeriesBytes: 40, Labels: 3})
		assert.ErrorContains(t, err, want, "%s", spelling)
	}
	f(`x{a="1",a="2"}`, `label "a" is there twice`)
	f(`x{a="1",b="2",a=""}`, `label "a" is there twice`)
	f(`x{1a="1"}`, `"1a=\"1\"}" does not begin with a label name`)
	f(`x{a-b="1"}`, `no = after label name "a"`)
	f(`x{a:b="1"}`, `no = after label name "a"`)
	f(`x{a}`, `no = after label name "a"`)
	f(`x{a=1}`, `the value of label "a" is not in quotes`)
	f(`x{a="1"b="2"}`, `no comma after label "a"`)
	f(`x{,}`, `does not begin with a label name`)
	f(`x{__name__="y"}`, `reserved`)
	f("x{a=\"\xff\"}", "it is not UTF-8")
	f("x{a=\"\x00\"}", "it has a NUL byte")
	f(`x{a="1",b="2",c="3",d="4"}`, "more than 3 labels")
	f(`x{a="`+strings.Repeat("y", 50)+`"}`, "has 57 bytes, the limit is 40")
}

func TestParseSeriesNoticesOddBounds(t *testing.T) {
	f := func(spelling string, want bool) {
		t.Helper()
		s, err := ParseSeries([]byte(spelling), Limits{})
		require.NoError(t, err)
		assert.Equal(t, want, s.OddBound, spelling)
	}
	f(`x_bucket{le="+Inf"}`, false)
	f(`x_bucket{le="0.5"}`, false)
	f(`x_bucket{le="small"}`, true)
	f(`x{quantile="0.99"}`, false)
	f(`x{quantile="p99"}`, true)
	f(`x{level="high"}`, false)
}

// What ParseSeries returns must be a spelling of itself.
func FuzzParseSeries(f *testing.F) {
	for _, s := range []string{`x`, `x{a="b"}`, `x {b="\n",a="\\\"",}`, `x{a="\t",le="y"}`, `x{a=""}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spelling string) {
		if !isSpelling(spelling) {
			return
		}
		first, err := ParseSeries([]byte(spelling), Limits{})
		if err != nil {
			return
		}
		require.True(t, isSpelling(first.Text), "%q", first.Text)
		again, err := ParseSeries([]byte(first.Text), Limits{})
		require.NoError(t, err)
		require.Equal(t, first, again)
	})
}

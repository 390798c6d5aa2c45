package grouping

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	good := func(path, want string) {
		t.Helper()
		labels, err := Parse(path)
		require.NoError(t, err, path)
		assert.Equal(t, want, labels.String(), path)
	}
	good(`job/j`, `{job="j"}`)
	good(`job/j/b/2/a/1`, `{a="1",b="2",job="j"}`)
	good(`job/j/k/a%2Fb`, `{job="j",k="a/b"}`)
	good(`job/j/k/%2Fvar%2Ftmp`, `{job="j",k="/var/tmp"}`)
	good(`job/j/k/`, `{job="j",k=""}`)
	good(`job/j/k/..`, `{job="j",k=".."}`)
	good(`job/..`, `{job=".."}`)
	good(`job/j/k/a+b`, `{job="j",k="a+b"}`)
	good(`job/j/k/%C3%BC`, `{job="j",k="ü"}`)
	good(`job/j/k@base64/YS9i`, `{job="j",k="a/b"}`)
	good(`job/j/k@base64/L3Zhcg`, `{job="j",k="/var"}`)
	good(`job/j/k@base64/L3Zhcg==`, `{job="j",k="/var"}`)
	good(`job/j/k%40base64/L3Zhcg%3D%3D`, `{job="j",k="/var"}`)
	good(`job/j/k@base64/=/l/1`, `{job="j",k="",l="1"}`)
	good(`job@base64/Li4vLi4`, `{job="../.."}`)
	good(`job/j/k/1/k/2`, `{job="j",k="2"}`)
	good(`job/j/job/other`, `{job="j"}`)

	wrong := func(path, why string) {
		t.Helper()
		_, err := Parse(path)
		assert.ErrorContains(t, err, why, path)
	}
	wrong(`job`, "without a value")
	wrong(`job/`, "the job is empty")
	wrong(`job@base64/=`, "the job is empty")
	wrong(`job/j/k`, "without a value")
	wrong(`job/j/k/a/b`, "without a value")
	wrong(`job/j/k//var/tmp/x`, "without a value")
	wrong(`job/j/k//var/tmp`, "nothing between two slashes")
	wrong(`instance/i/job/j`, "the first one is job")
	wrong(`job/j/1a/b`, "no name of a label")
	wrong(`job/j/a.b/c`, "no name of a label")
	wrong(`job/j/__name__/c`, "no name of a label")
	wrong(`/job/j/a`, "no name of a label")
	wrong(`job/j/k@base64/a!b`, "no base64")
	wrong(`job/j/k@base64/fn5+`, "no base64")
	wrong(`job/j/k/%FF`, "not UTF-8")
	wrong(`job/j/k/100%`, "wrongly escaped")
	wrong(`job/j/%/v`, "wrongly escaped")
}

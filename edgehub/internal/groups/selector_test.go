package groups

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseSelector(t *testing.T) {
	all := []string{"job/x/instance/y1", "job/x/instance/y2", "job/x/instance/z", "job/other/rack/b%7D%2C", "job/x"}
	good := func(text string, want ...string) {
		t.Helper()
		s, err := ParseSelector(text)
		require.NoError(t, err, text)
		var selected []string
		for _, path := range all {
			labels, refused := ParsePath(path)
			require.Nil(t, refused)
			if s.Matches(labels) {
				selected = append(selected, path)
			}
		}
		assert.Equal(t, want, selected, text)
	}
	good(`{job="x",instance=~"y.*"}`, all[0], all[1])
	good(` { job = "x" , instance !~ "y.*" , } `, all[2], all[4])
	good(`{job="x",instance!=""}`, all[0], all[1], all[2])
	good(`{job="x",instance=""}`, all[4])
	good(`{instance=~"y"}`)
	good(`{instance=~"y1|z"}`, all[0], all[2])
	good(`{rack="b},"}`, all[3])
	good(`{rack=~"b\\}."}`, all[3])
	good(`{job!="x",rack=~".+"}`, all[3])
	wrong := func(text, why string) {
		t.Helper()
		_, err := ParseSelector(text)
		assert.ErrorContains(t, err, why, text)
	}
	wrong(``, "no selector")
	wrong(`x{job="x"}`, "no selector")
	wrong(`{}`, "select too much")
	wrong(`{job=~".*"}`, "select too much")
	wrong(`{job!="x"}`, "select too much")
	wrong(`{job="x"instance="y"}`, "no comma")
	wrong(`{job="x",,}`, "no condition")
	wrong(`{job=x}`, "with a value in quotes")
	wrong(`{job="x}`, "with a value in quotes")
	wrong(`{job!"x"}`, "with a value in quotes")
	wrong(`{1="x"}`, "no name of a label")
	wrong(`{job=~"("}`, "the condition of job")
}

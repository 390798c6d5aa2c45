package members

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/hashring"
)

// A set of hubs is good if a ring can be built of it, and says why not otherwise.
func TestCheckAgreesWithTheRing(t *testing.T) {
	check := func(message string, hubs ...Hub) {
		t.Helper()
		nodes := make([]hashring.Node, len(hubs))
		for i, h := range hubs {
			nodes[i] = hashring.Node{Name: h.Name, Weight: h.Weight}
		}
		_, ringErr := hashring.New(nodes)
		checked, err := Check(hubs)
		if message == "" {
			assert.NoError(t, ringErr)
			assert.NoError(t, err)
			assert.Len(t, checked, len(hubs))
			return
		}
		assert.Error(t, ringErr)
		assert.ErrorContains(t, err, message)
		assert.Nil(t, checked)
	}
	named := func(name string) Hub { return Hub{Name: name, URL: "http://hub"} }
	weighs := func(w float64) Hub { return Hub{Name: "a", URL: "http://hub", Weight: w} }
	many := make([]Hub, hashring.MaxNodes+1)
	for i := range many {
		many[i] = named(strconv.Itoa(i))
	}
	check("no hub")
	check("", named("a"))
	check("", many[:2]...)
	check("at most 4096", many...)
	check("", named(strings.Repeat("a", hashring.MaxNameBytes)))
	check("254 bytes", named(strings.Repeat("a", hashring.MaxNameBytes+1)))
	check(`"a" is named twice`, named("a"), named("b"), named("a"))
	for _, w := range []float64{0, 0.001, 1, 1000} {
		check("", weighs(w))
	}
	for _, w := range []float64{0.000999, 1000.001, -1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		check("weight", weighs(w))
	}
}

// All that is wrong is said at once, but not a thousand times.
func TestCheckReportsAll(t *testing.T) {
	_, err := Check([]Hub{{URL: "a:9091"}, {Name: "b", URL: "http://b", Weight: -1}, {Name: "c", URL: "http://user:secret@c"}, {}})
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	assert.Len(t, lines, 4, err)
	assert.Contains(t, lines[1], `hub "b": weight -1`)
	assert.NotContains(t, err.Error(), "secret")

	_, err = Check(make([]Hub, 1000))
	require.Error(t, err)
	assert.Equal(t, 10, strings.Count(err.Error(), "\n"), err)
	assert.True(t, strings.HasSuffix(err.Error(), "\nand 990 more"), err)
}

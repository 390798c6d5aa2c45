package wire

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A name has one type in a request, and the parts of a summary or histogram belong to it.
func TestClaims(t *testing.T) {
	allows := func(want bool, k Kind, name string, claimed ...Header) {
		t.Helper()
		var c Claims
		for _, h := range claimed {
			c.Add(h.Name, h.Kind)
		}
		assert.Equal(t, want, c.Allow(name, k))
		assert.Equal(t, want, c.AllowAll(NewShape([]Header{{Name: "other", Kind: Gauge}, {Name: name, Kind: k}})))
		c.Reset()
		assert.True(t, c.Allow(name, k))
	}
	allows(true, Gauge, "a")
	allows(true, Gauge, "a", Header{Name: "a", Kind: Gauge}, Header{Name: "b", Kind: Counter})
	allows(false, Counter, "a", Header{Name: "a", Kind: Gauge})
	allows(true, Histogram, "h", Header{Name: "h", Kind: Histogram})
	allows(false, Gauge, "h_bucket", Header{Name: "h", Kind: Histogram})
	allows(true, Gauge, "s_bucket", Header{Name: "s", Kind: Summary})
	allows(false, Counter, "s_sum", Header{Name: "s", Kind: Summary})
	allows(false, Summary, "s", Header{Name: "s_count", Kind: Counter})
}

// What has the same shape as what was claimed last fits without a look, and claims again
// nothing.
func TestClaimsOfAShape(t *testing.T) {
	var c Claims
	s := NewShape([]Header{{Name: "a", Kind: Gauge}, {Name: "h", Kind: Histogram}})
	c.AddAll(s)
	c.AddAll(s)
	assert.True(t, c.AllowAll(s))
	assert.True(t, c.AllowAll(NewShape(s.Families)))
	assert.False(t, c.AllowAll(NewShape([]Header{{Name: "h_sum", Kind: Gauge}})))
}

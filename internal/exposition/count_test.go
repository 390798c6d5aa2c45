package exposition

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCountSamples(t *testing.T) {
	f := func(want int, text string) {
		t.Helper()
		assert.Equal(t, want, CountSamples([]byte(text)), "%q", text)
	}
	f(0, "")
	f(0, "\n \n\t\r\n# a\n  # b\n#")
	f(1, "x")
	f(2, "x 1\ny")
	f(3, "# x\nx 1\n\n y 2\r\nz 3\n")
}

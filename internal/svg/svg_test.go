package svg

import (
	"encoding/xml"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDrawingIsWellFormed(t *testing.T) {
	c := New(20, 10)
	c.Text(1, 2.25, 12, "start", Ink, `a < b & "c"`)
	var d struct {
		Width int    `xml:"width,attr"`
		Text  string `xml:"text"`
	}
	require.NoError(t, xml.Unmarshal(c.End(), &d))
	require.Equal(t, 20, d.Width)
	require.Equal(t, `a < b & "c"`, d.Text)
}

package exposition

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHubID(t *testing.T) {
	for id, header := range map[HubID]string{
		{"1.2.3", ""}:                                  "edgehub/1.2.3",
		{"1.2.3", "edgehub-0.edgehub:9091"}:            "edgehub/1.2.3 edgehub-0.edgehub:9091",
		{"v1-0.2026+dirty", "the first hub"}:           "edgehub/v1-0.2026+dirty the first hub",
		{"1", strings.Repeat("n", MaxHubName)}:         "edgehub/1 " + strings.Repeat("n", MaxHubName),
		{strings.Repeat("1", 64), "~!\"#%&'()*,;<=>?"}: "edgehub/" + strings.Repeat("1", 64) + " ~!\"#%&'()*,;<=>?",
	} {
		assert.Equal(t, header, id.String())
		got, ok := ParseHubID(header)
		assert.True(t, ok, header)
		assert.Equal(t, id, got)
	}
	assert.Equal(t, "edgehub/unknown", HubID{}.String())
	assert.Equal(t, "edgehub/my_build____", HubID{Version: "my build\r\n\u00e9"}.String())
	assert.Equal(t, "edgehub/"+strings.Repeat("1", 64), HubID{Version: strings.Repeat("1", 100)}.String())
}

func TestNoHubID(t *testing.T) {
	for _, header := range []string{
		"", "edgehub", "edgehub/", "edgehub/ name", "Edgehub/1", "nginx/1.2", "edgehub/1 ", "edgehub/1  name", "edgehub/1 name ",
		"edgehub/\x01", "edgehub/1 na\tme", "edgehub/1 n\u00e4me", "edgehub/" + strings.Repeat("1", 65), "edgehub/1 " + strings.Repeat("n", MaxHubName+1),
	} {
		_, ok := ParseHubID(header)
		assert.False(t, ok, "%q", header)
	}
}

func FuzzParseHubID(f *testing.F) {
	for _, header := range []string{"edgehub/1.2.3", "edgehub/1.2.3 edgehub-0:9091", "edgehub/", "x"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if id, ok := ParseHubID(header); ok {
			assert.Equal(t, header, id.String())
		}
	})
}

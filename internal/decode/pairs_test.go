package decode

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// field is a field that has a length.
func field(tag byte, content string) string {
	return string(binary.AppendUvarint([]byte{tag}, uint64(len(content)))) + content
}

func pair(name, value string) string {
	return field(pairField, field(nameField, name)+field(valueField, value))
}

func TestPairs(t *testing.T) {
	long := strings.Repeat("v", 200)
	number := "\x10\x05" // of another field
	var p Pairs
	for _, c := range []struct{ message, text, rest string }{
		{"", "", ""},
		{number, "", number},
		{pair("a", "1") + pair("b", "2") + pair("c", "3") + number, `a="1",b="2",c="3",`, number},
		{pair("a", "1") + pair("b", "2") + pair("c", "3"), `a="1",b="2",c="3",`, ""},
		{pair("a", "1") + pair("b", "x") + pair("c", "3"), `a="1",b="x",c="3",`, ""},
		{pair("a", "longer") + pair("b", "x") + pair("c", "3") + number, `a="longer",b="x",c="3",`, number},
		{pair("a", "longer") + pair("b", "x") + pair("c", "5"), `a="longer",b="x",c="5",`, ""},
		{pair("a", "") + pair("b", "x"), "", pair("a", "") + pair("b", "x")},
		{pair("a", "1") + pair("b", "2"), `a="1",b="2",`, ""},
		{pair("z", "1") + pair("b", "2") + pair("c", "3"), `z="1",b="2",c="3",`, ""},
		{pair("z", "1"), `z="1",`, ""},
		{pair("a", long) + pair("b", "\"\\\n"), `a="` + long + `",b="\"\\\n",`, ""},
		{pair("é", "1") + pair("b", "\"\\\n"), `"é"="1",b="\"\\\n",`, ""},
		{pair("é", "1") + pair("__name__", "x"), `"é"="1",`, pair("__name__", "x")},
		{pair("", "1"), "", pair("", "1")},
		{pair("a", "1") + field(pairField, field(valueField, "1")+field(nameField, "a")), `a="1",`, field(pairField, field(valueField, "1")+field(nameField, "a"))},
		{pair("a", "1") + field(pairField, field(nameField, "a")+field(valueField, "1")+number), `a="1",`, field(pairField, field(nameField, "a")+field(valueField, "1")+number)},
		{pair("a", "1") + pair("b", "2")[:6], `a="1",`, pair("b", "2")[:6]},
	} {
		assert.Equal(t, c.rest, string(p.Read([]byte(c.message))))
		assert.Equal(t, c.text, string(p.Text()))
	}
	p.Add([]byte("c"), []byte("d"))
	assert.Equal(t, `a="1",c="d",`, string(p.Text()))
	p.Read([]byte(pair("a", "1") + pair("c", "2")))
	assert.Equal(t, `a="1",c="2",`, string(p.Text()))
	p.Release()
	assert.Empty(t, p.Text())
}

// More pairs than a series may have are not noted.
func TestPairsHaveABound(t *testing.T) {
	var p Pairs
	message := []byte(strings.Repeat(pair("a", "1"), maxPairs+2))
	for range 2 {
		assert.Len(t, p.Read(message), 2*len(pair("a", "1")))
	}
	p.Read([]byte(pair("a", strings.Repeat("v", maxKeptPairs))))
	p.Release()
	assert.Zero(t, cap(p.text))
}

// Whatever was read before, a series has the text that it has alone.
func FuzzPairs(f *testing.F) {
	f.Add([]byte(pair("a", "1")+pair("b", "2")+pair("c", "3")), []byte(pair("a", "1")+pair("b", "4")+pair("c", "3")+"\x10\x05"), []byte(pair("a", "")))
	f.Add([]byte(pair("a", "\"")+pair("bc", "2")), []byte(pair("a", "\"")+pair("b", "2")), []byte(pair("a", "11")+pair("bc", "2")))
	f.Fuzz(func(t *testing.T, first, second, third []byte) {
		var p Pairs
		for _, message := range [][]byte{first, second, third, second, first, bytes.Clone(first)} {
			var alone Pairs
			require.Equal(t, alone.Read(message), p.Read(message))
			require.Equal(t, string(alone.Text()), string(p.Text()))
			p.Add([]byte("a"), []byte("b"))
		}
	})
}

package words

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWordsAreNoNumbers(t *testing.T) {
	all := AppendHistogram(nil, []byte("a histogram"))
	all = AppendExemplar(append(all, Start(MaxStart), Start(0)), []byte("an exemplar"))
	for i, w := range all {
		assert.True(t, math.IsNaN(w), i)
		assert.True(t, Is(w), i)
		assert.NotEqual(t, uint64(0x7ff0000000000002), math.Float64bits(w), "a marker that ends a series")
		assert.Equal(t, i == 0, IsHistogram(w), i)
		assert.Equal(t, i > 0, Follows(w), i)
		assert.Equal(t, uint64(0x7ff8000000000001), math.Float64bits(Number(w)))
	}
}

// Whatever else a sender has for a value is no word, and stays as it is.
func TestNumbersAreNoWords(t *testing.T) {
	for _, bits := range []uint64{
		0, 1 << 63, math.Float64bits(1), math.Float64bits(math.Inf(1)), math.Float64bits(math.Inf(-1)), math.MaxUint64,
		0x7ff8000000000001, 0x7ff0000000000002, 0xfff8000000000000, 0xfff3ffffffffffff, 0xfff0000000000001, 0x7ff4000000000000,
	} {
		v := math.Float64frombits(bits)
		assert.False(t, Is(v), "%x", bits)
		assert.False(t, IsHistogram(v), "%x", bits)
		assert.False(t, Follows(v), "%x", bits)
		assert.Equal(t, bits, math.Float64bits(Number(v)))
	}
}

func TestRead(t *testing.T) {
	var s Sample
	s.Read(1, nil)
	assert.Equal(t, Sample{}, Sample{Histogram: s.Histogram, Start: s.Start, Cut: s.Cut})

	following := append(AppendExemplar(AppendExemplar([]float64{Start(17)}, []byte("one")), nil), AppendExemplar(nil, []byte("seven by"))...)
	s.Read(2, following)
	assert.Nil(t, s.Histogram)
	assert.Equal(t, int64(17), s.Start)
	assert.Equal(t, [][]byte{[]byte("one"), {}, []byte("seven by")}, s.Exemplars)
	assert.Zero(t, s.Cut)

	for n := range 20 {
		message := []byte("a native histogram!!")[:n]
		all := AppendHistogram(nil, message)
		assert.Len(t, all, Count(n))
		all = append(all, following...)
		s.Read(all[0], all[1:])
		assert.Equal(t, message, s.Histogram)
		assert.Len(t, s.Exemplars, 3)
		assert.Equal(t, int64(17), s.Start)
	}
}

// What is cut anywhere yields whole messages or none, and the rest says so.
func TestCutWords(t *testing.T) {
	message := []byte("a native histogram of some length")
	all := AppendExemplar(append(AppendHistogram(nil, message), Start(5)), []byte("exemplar"))
	var s Sample
	for n := 1; n < len(all); n++ {
		s.Read(all[0], all[1:n])
		if n < Count(len(message)) {
			assert.Nil(t, s.Histogram, n)
			assert.Equal(t, 1, s.Cut, n)
		} else {
			assert.Equal(t, message, s.Histogram, n)
			assert.Equal(t, n > Count(len(message))+1, s.Cut == 1, n)
		}
		assert.Empty(t, s.Exemplars)
		s.Read(1, all[n:]) // behind another sample
		assert.Nil(t, s.Histogram, n)
	}
	s.Read(1, all[1:])
	assert.Equal(t, 1, s.Cut)
	assert.Equal(t, [][]byte{[]byte("exemplar")}, s.Exemplars)
}

// The head of one message and the end of another, of the same length, are no message.
func TestWordsOfTwoMessages(t *testing.T) {
	one, other := AppendHistogram(nil, []byte("the first twelve")), AppendHistogram(nil, []byte("and other twelve"))
	var s Sample
	s.Read(one[0], append(one[1:2:2], other[2:]...))
	assert.Nil(t, s.Histogram)
	assert.Equal(t, 1, s.Cut)
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte(nil), []byte("exemplar"), int64(1))
	f.Add([]byte("histogram"), []byte(nil), int64(MaxStart))
	f.Fuzz(func(t *testing.T, histogram, exemplar []byte, start int64) {
		if len(histogram) > MaxBytes || len(exemplar) > MaxBytes {
			t.Skip()
		}
		all := AppendExemplar(append(AppendHistogram(nil, histogram), Start(start&MaxStart)), exemplar)
		var s Sample
		s.Read(all[0], all[1:])
		require.Equal(t, string(histogram), string(s.Histogram))
		require.NotNil(t, s.Histogram)
		require.Equal(t, start&MaxStart, s.Start)
		require.Len(t, s.Exemplars, 1)
		require.Equal(t, string(exemplar), string(s.Exemplars[0]))
		require.Zero(t, s.Cut)
	})
}

// Any words are read, and what is read of them is among them.
func FuzzRead(f *testing.F) {
	spell := func(words []float64) (bytes []byte) {
		for _, w := range words {
			bytes = binary.BigEndian.AppendUint64(bytes, math.Float64bits(w))
		}
		return bytes
	}
	whole := AppendExemplar(append(AppendHistogram(nil, []byte("a histogram")), Start(3)), []byte("an exemplar"))
	f.Add(spell(whole))
	f.Add(spell(whole[1:]))
	f.Add(spell(whole[:2]))
	f.Add(spell(append(whole[:2:2], whole...)))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		var all []float64
		for ; len(bytes) >= 8; bytes = bytes[8:] {
			all = append(all, math.Float64frombits(binary.BigEndian.Uint64(bytes)))
		}
		if len(all) == 0 {
			return
		}
		var s Sample
		s.Read(all[0], all[1:])
		text := string(spell(all))
		if s.Histogram != nil {
			require.Contains(t, text, string(spell(AppendHistogram(nil, s.Histogram))[:8]))
		}
		for _, e := range s.Exemplars {
			require.Contains(t, text, string(spell(AppendExemplar(nil, e))[:8]))
		}
	})
}

package block

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// samplesOf makes samples of any bytes: of few series or many, at times and with values that go
// on from those before or are anything.
func samplesOf(data []byte) (s Samples) {
	id, ms, value := series.ID(0), int64(0), 0.0
	for len(data) > 0 {
		how, arg := data[0], uint64(0)
		data = data[1:]
		if how&1 != 0 {
			var wide [8]byte
			data = data[copy(wide[:], data):]
			arg = binary.LittleEndian.Uint64(wide[:])
		} else if len(data) > 0 {
			arg, data = uint64(data[0]), data[1:]
		}
		switch how >> 1 & 7 {
		case 0:
			id = series.ID(arg % (1 << 16))
		case 1:
			ms += int64(arg)
		case 2:
			ms = int64(arg)
		case 3:
			value = math.Float64frombits(arg)
		case 4:
			value += float64(arg)
		case 5:
			value = float64(int64(arg)) / powers[how>>4%10]
		}
		for range 1 + how>>5*how>>5 {
			s.add(id, ms, value)
			id++
		}
	}
	return s
}

// Whatever goes in comes out, to the bit.
func FuzzSamples(f *testing.F) {
	f.Add([]byte{}, uint16(0), uint16(0))
	f.Add([]byte{0, 0, 2, 200, 0xf7, 1, 2, 3, 4, 5, 6, 7, 8, 0xe0, 0, 0xe2, 30, 0xea, 9}, uint16(3), uint16(40))
	f.Fuzz(func(t *testing.T, data []byte, from, to uint16) {
		s := samplesOf(data)
		if len(s.IDs) == 0 {
			return
		}
		b := new(Encoder).Encode([]Samples{s})
		requireSame(t, s, b, 0, len(s.IDs), all)
		end := int(to) % (len(s.IDs) + 1)
		requireSame(t, s, b, int(from)%(end+1), end, func(id series.ID) bool { return id%3 != 1 })
	})
}

// Any bytes are a block with as many samples as it says, or none.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{})
	f.Add(packed(newFleet(1, 2, 10).reports(3)))
	f.Add(packed(samplesOf([]byte("any samples, of some series, at some times"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Open(data)
		if err != nil {
			require.ErrorIs(t, err, errDamaged)
			return
		}
		require.LessOrEqual(t, b.Len(), 64*len(data), "its bytes are enough for its samples")
		keys, samples := 0, 0
		for k := range b.Keys(0, b.Len()) {
			keys += len(k.IDs)
		}
		for s := range b.Series(0, b.Len(), all) {
			samples += len(s.Values)
		}
		require.Equal(t, []int{b.Len(), b.Len(), b.Len()}, []int{keys, samples, len(b.Append(Samples{}).Values)})
		for s := range b.Series(b.Len()/3, b.Len()/2, func(id series.ID) bool { return id%2 == 0 }) {
			samples += len(s.Values)
		}
		require.LessOrEqual(t, samples, b.Len()+b.Len()/2-b.Len()/3)
	})
}

// packed are the bytes of a block.
func packed(s Samples) []byte { return new(Encoder).Encode([]Samples{s}).Data() }

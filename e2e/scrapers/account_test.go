package scrapers

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// sample says which sample it is.
type sample struct {
	gateway string
	n       string // the series of the gateway
	at      int64  // milliseconds
}

// arrivals are what a far end got.
type arrivals struct {
	values map[sample]float64
	total  int // with those that came again
}

// add notes a sample that arrived. A repeat must have the same value.
func (a *arrivals) add(s sample, value float64) error {
	if a.values == nil {
		a.values = map[sample]float64{}
	}
	if before, again := a.values[s]; again && before != value {
		return fmt.Errorf("%v arrived with the value %v and with %v", s, before, value)
	}
	a.values[s] = value
	a.total++
	return nil
}

// account is what became of the samples that were pushed.
type account struct {
	pushed, lost, twice int
	first               string // a sample that is lost, if one is
}

func (a account) String() string {
	return fmt.Sprintf("%d pushed, %d lost, %d twice", a.pushed, a.lost, a.twice)
}

// settled compares what was pushed with what arrived. What arrived and was not pushed,
// or has another value, is an error.
func settled(pushed map[sample]float64, got arrivals) (account, error) {
	for s, value := range got.values {
		want, known := pushed[s]
		if !known {
			return account{}, fmt.Errorf("%v arrived and was not pushed", s)
		}
		if value != want {
			return account{}, fmt.Errorf("%v arrived as %v and was pushed as %v", s, value, want)
		}
	}
	a := account{pushed: len(pushed), twice: got.total - len(got.values)}
	for s := range pushed {
		if _, there := got.values[s]; !there {
			a.lost++
			a.first = fmt.Sprint(s)
		}
	}
	return a, nil
}

func TestSettled(t *testing.T) {
	a, b, c := sample{"gw", "1", 1}, sample{"gw", "1", 2}, sample{"gw", "2", 1}
	pushed := map[sample]float64{a: 1, b: 2, c: 3}
	var got arrivals
	require.NoError(t, got.add(a, 1))
	require.NoError(t, got.add(c, 3))
	require.NoError(t, got.add(c, 3))
	result, err := settled(pushed, got)
	require.NoError(t, err)
	require.Equal(t, account{pushed: 3, lost: 1, twice: 1, first: fmt.Sprint(b)}, result)

	require.ErrorContains(t, got.add(a, 2), "with the value 1 and with 2")
	other := arrivals{}
	require.NoError(t, other.add(a, 5))
	_, err = settled(pushed, other)
	require.ErrorContains(t, err, "arrived as 5")
	other = arrivals{}
	require.NoError(t, other.add(sample{"gw", "1", 3}, 5))
	_, err = settled(pushed, other)
	require.ErrorContains(t, err, "was not pushed")
}

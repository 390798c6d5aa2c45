package method

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/consistent"
)

var hubs = []hashring.Node{{Name: "edgehub-0"}, {Name: "edgehub-1"}, {Name: "edgehub-2"}}

// Each spelling gives the ring of its package, and has one form.
func TestSpellings(t *testing.T) {
	is := func(text, full string, ring func([]hashring.Node) (*hashring.Ring, error)) {
		t.Helper()
		m, err := Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, full, m.String(), text)
		again, err := Parse(full)
		require.NoError(t, err, full)
		assert.Equal(t, m, again, text)
		want, err := ring(hubs)
		require.NoError(t, err)
		got, err := m.Ring(hubs)
		require.NoError(t, err)
		assert.Equal(t, want.Fingerprint(), got.Fingerprint(), text)
	}
	is("rendezvous", "rendezvous", hashring.New)
	const defaults = "consistent/partitions=271/replicas=20/load=1.25"
	is("consistent", defaults, consistent.Config{}.Ring)
	is("consistent/load=1.250/replicas=0", defaults, consistent.Config{}.Ring)
	is("consistent/replicas=200/partitions=20011", "consistent/partitions=20011/replicas=200/load=1.25",
		consistent.Config{PartitionCount: 20_011, ReplicationFactor: 200}.Ring)
	is("consistent/load=2", "consistent/partitions=271/replicas=20/load=2", consistent.Config{Load: 2}.Ring)
	assert.Equal(t, "rendezvous", Method{}.String())
	said, err := Parse("rendezvous")
	require.NoError(t, err)
	assert.True(t, said.Said())
	assert.False(t, Method{}.Said())
	assert.True(t, said.Same(Method{}))
}

func TestWhatIsNoMethod(t *testing.T) {
	for text, want := range map[string]string{
		"":                            `placement "": it must be rendezvous or consistent, which may have parameters, as in consistent/partitions=271/replicas=20/load=1.25`,
		"jump":                        `placement "jump": it must be rendezvous`,
		"Consistent":                  "it must be rendezvous",
		"rendezvous/":                 "it must be rendezvous",
		"consistent/":                 `parameter "" is unknown: partitions, replicas and load are understood`,
		"consistent/partition=1":      `parameter "partition" is unknown`,
		"consistent/load=1/load=1":    "load is there twice",
		"consistent/replicas":         `replicas is "": it must be a number`,
		"consistent/partitions=1.5":   `partitions is "1.5": it must be a number`,
		"consistent/load=much":        `load is "much": it must be a number`,
		"consistent/load=NaN":         "Load is NaN: it must be a number above 0",
		"consistent/load=-1":          "Load is -1",
		"consistent/replicas=5000":    "ReplicationFactor is 5000: it must be between 1 and 4096",
		"consistent/partitions=2e6":   `partitions is "2e6"`,
		"consistent/partitions=-1":    "PartitionCount is -1",
		"consistent/partitions=1e999": "must be a number",
	} {
		m, err := Parse(text)
		assert.ErrorContains(t, err, want)
		assert.Zero(t, m, text)
	}
}

// What was spelled is read again as it was, with whatever numbers.
func TestPropertySpellingsAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Method{said: true, circle: consistent.Config{
			PartitionCount:    rapid.IntRange(1, consistent.MaxPartitionCount).Draw(t, "partitions"),
			ReplicationFactor: rapid.IntRange(1, consistent.MaxReplicationFactor).Draw(t, "replicas"),
			Load:              rapid.Float64Range(0.01, 1e6).Draw(t, "load"),
		}}
		again, err := Parse(m.String())
		require.NoError(t, err)
		require.Equal(t, m, again)
	})
}

// The nodes' faults are the packages' own.
func TestNodesThatNoRingCanBeMadeOf(t *testing.T) {
	m, err := Parse("consistent")
	require.NoError(t, err)
	_, err = m.Ring([]hashring.Node{{Name: "a"}, {Name: "b", Weight: 2}})
	assert.ErrorContains(t, err, "the circle knows no weights")
	_, err = Method{}.Ring(nil)
	assert.ErrorContains(t, err, "at least one node")
}

package placement

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/consistent"
)

func nodes(n int) []hashring.Node {
	var all []hashring.Node
	for i := range n {
		all = append(all, hashring.Node{Name: fmt.Sprintf("edgehub-%d:9091", i)})
	}
	return all
}

func loads() []hashring.Load {
	random := rand.New(rand.NewPCG(1, 2))
	all := []hashring.Load{{Series: 1500}}
	for i := range 347 {
		all = append(all, hashring.Load{Key: fmt.Sprintf("gw %d <\"é\">", i), Series: 250 + random.IntN(101)})
	}
	return all
}

func rendezvous(t *testing.T, n int) *hashring.Ring {
	t.Helper()
	ring, err := hashring.New(nodes(n))
	require.NoError(t, err)
	return ring
}

func assigned(t *testing.T, ring *hashring.Ring) *hashring.Ring {
	t.Helper()
	other, err := ring.Assign(loads(), 0)
	require.NoError(t, err)
	return other
}

// of is a placement of a ring.
func of(ring *hashring.Ring, base string, serial uint64) *Placement {
	p := Of(ring, loads())
	p.Serial, p.Base, p.Made = serial, base, made
	return p
}

var made = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// Whoever reads the file and has the same hubs has the same ring.
func TestAFileIsTheRing(t *testing.T) {
	circle, err := consistent.New(nodes(5), consistent.Config{})
	require.NoError(t, err)
	for name, base := range map[string]*hashring.Ring{"rendezvous": rendezvous(t, 5), "consistent": circle} {
		file := File(filepath.Join(t.TempDir(), "placement.json"))
		ring := assigned(t, base)
		require.NoError(t, file.Write(of(ring, name, 7)))
		p, err := file.Read(t.Context())
		require.NoError(t, err)
		assert.Equal(t, of(ring, name, 7), p)
		got, err := p.Ring(base)
		require.NoError(t, err)
		assert.Equal(t, ring.Fingerprint(), got.Fingerprint())
		assert.NotEqual(t, base.Fingerprint(), got.Fingerprint(), "something has moved")

		info, err := os.Stat(string(file))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o644), info.Mode())
		left, err := os.ReadDir(filepath.Dir(string(file)))
		require.NoError(t, err)
		assert.Len(t, left, 1)
	}
}

// With other hubs than it was made for, what it says of those that are there counts.
func TestOtherHubs(t *testing.T) {
	p := of(assigned(t, rendezvous(t, 5)), "rendezvous", 1)
	for _, n := range []int{4, 6} {
		base := rendezvous(t, n)
		ring, err := p.Ring(base)
		require.NoError(t, err)
		elsewhere := 0
		for _, l := range loads() {
			want := base.Owner(l.Key).Name
			if home, moved := p.Homes[l.Key]; moved && home != "edgehub-4:9091" {
				want = home
			} else if moved && n == 6 {
				want = home
			}
			assert.Equal(t, want, ring.Owner(l.Key).Name)
			if want != base.Owner(l.Key).Name {
				elsewhere++
			}
		}
		assert.NotZero(t, elsewhere)
	}
}

// It is not used with a ring that it was not made of.
func TestAnotherRing(t *testing.T) {
	circle, err := consistent.New(nodes(5), consistent.Config{})
	require.NoError(t, err)
	p := of(assigned(t, rendezvous(t, 5)), "rendezvous", 9)
	_, err = p.Ring(circle)
	require.ErrorContains(t, err, "placement 9 gives a ring with fingerprint ")
	require.ErrorContains(t, err, "it was made of another ring (rendezvous), or changed by hand")
	for key := range p.Homes {
		delete(p.Homes, key)
		break
	}
	_, err = p.Ring(rendezvous(t, 5))
	require.ErrorContains(t, err, "or changed by hand")
}

func TestTextsThatAreNone(t *testing.T) {
	good := string(of(assigned(t, rendezvous(t, 3)), "rendezvous", 1).Text())
	for _, c := range []struct{ says, text string }{
		{"no placement: EOF", ""},
		{"unexpected EOF", good[:len(good)/2]},
		{"there is something behind it", good + "x"},
		{`unknown field "moved"`, strings.Replace(good, `"homes"`, `"moved"`, 1)},
		{"its format is 2, this reads 1", strings.Replace(good, `"format": 1`, `"format": 2`, 1)},
		{`its fingerprint is "", no hexadecimal number`, `{"format": 1}`},
		{"it has 0 hubs, it must have 1 to 4096", `{"format": 1, "fingerprint": "1"}`},
		{`hub "edgehub-0:9091" is there twice`, strings.Replace(good, `edgehub-1:9091`, `edgehub-0:9091`, 1)},
		{`which is none of its hubs`, `{"format": 1, "fingerprint": "1", "hubs": [{"name": "a", "weight": 1}], "homes": {"gw": "b"}}`},
		{"it has more than 33554432 bytes", strings.Repeat(" ", MaxBytes+1)},
	} {
		_, err := Parse([]byte(c.text))
		assert.ErrorContains(t, err, c.says)
	}
}

func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	_, err := File(filepath.Join(dir, "none")).Read(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, `read the placement of "`)
	_, err = File(dir).Read(t.Context())
	require.ErrorContains(t, err, "it is not a regular file")
	ended, end := context.WithCancel(t.Context())
	end()
	_, err = File(dir).Read(ended)
	require.ErrorIs(t, err, context.Canceled)

	p := of(rendezvous(t, 1), "rendezvous", 1)
	require.ErrorIs(t, File(filepath.Join(dir, "none", "placement.json")).Write(p), os.ErrNotExist)
	require.Error(t, File(dir).Write(p), "a directory is not replaced")
	left, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	assert.Len(t, left, 1, "nothing half is left")
}

// Whatever is read can be written and read again, and put on a ring of its hubs or refused.
func FuzzParse(f *testing.F) {
	f.Add(`{"format": 1, "fingerprint": "1", "hubs": [{"name": "a", "weight": 1}, {"name": "b"}], "homes": {"gw": "b", "": "a"}}`)
	f.Add(`{"format": 1, "fingerprint": "ffffffffffffffff", "hubs": [{"name": "", "weight": -1}], "made": "2026-11-30T12:00:00.5+01:00"}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse([]byte(text))
		if err != nil {
			return
		}
		again, err := Parse(p.Text())
		require.NoError(t, err)
		assert.Equal(t, string(p.Text()), string(again.Text()))
		if base, err := hashring.New(p.Hubs); err == nil {
			_, _ = p.Ring(base) // it may be of another one
		}
	})
}

package members

import (
	"context"
	"math"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/hashring"
)

// A set of hubs is good if a ring can be built of it, and says why not otherwise.
func TestCheckAgreesWithTheRing(t *testing.T) {
	check := func(message string, hubs ...Hub) {
		t.Helper()
		nodes := make([]hashring.Node, len(hubs))
		for i, h := range hubs {
			nodes[i] = hashring.Node{Name: h.Name, Weight: h.Weight}
		}
		_, ringErr := hashring.New(nodes)
		checked, err := Check(hubs)
		if message == "" {
			assert.NoError(t, ringErr)
			assert.NoError(t, err)
			assert.Len(t, checked, len(hubs))
			return
		}
		assert.Error(t, ringErr)
		assert.ErrorContains(t, err, message)
		assert.Nil(t, checked)
	}
	named := func(name string) Hub { return Hub{Name: name, URL: "http://hub"} }
	weighs := func(w float64) Hub { return Hub{Name: "a", URL: "http://hub", Weight: w} }
	many := make([]Hub, hashring.MaxNodes+1)
	for i := range many {
		many[i] = named(strconv.Itoa(i))
	}
	check("no hub")
	check("", named("a"))
	check("", many[:2]...)
	check("at most 4096", many...)
	check("", named(strings.Repeat("a", hashring.MaxNameBytes)))
	check("254 bytes", named(strings.Repeat("a", hashring.MaxNameBytes+1)))
	check(`"a" is named twice`, named("a"), named("b"), named("a"))
	for _, w := range []float64{0, 0.001, 1, 1000} {
		check("", weighs(w))
	}
	for _, w := range []float64{0.000999, 1000.001, -1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		check("weight", weighs(w))
	}
}

// All hubs say how they become a ring, and the same, however it is spelled.
func TestHubsAgreeOnTheirPlacement(t *testing.T) {
	placed := func(placements ...string) (hubs []Hub) {
		for i, by := range placements {
			hubs = append(hubs, Hub{URL: "http://edgehub-" + strconv.Itoa(i), Placement: by})
		}
		return hubs
	}
	agree := func(want string, placements ...string) {
		t.Helper()
		checked, err := Check(placed(placements...))
		require.NoError(t, err)
		for _, h := range checked {
			assert.Equal(t, want, h.Placement)
		}
		by, err := Method(checked)
		require.NoError(t, err)
		ring, err := by.Ring([]hashring.Node{{Name: "a"}, {Name: "b"}})
		require.NoError(t, err)
		same, err := Method(placed(placements...))
		require.NoError(t, err)
		assert.Equal(t, by, same)
		assert.Equal(t, want, spelled(by))
		assert.Equal(t, want != "" && want != "rendezvous", ring.Fingerprint() != mustRing(t).Fingerprint())
	}
	agree("", "", "")
	agree("rendezvous", "", "rendezvous", "")
	agree("consistent/partitions=271/replicas=20/load=1.25", "consistent", "consistent/replicas=20", "consistent/load=1.25/partitions=271")
	agree("consistent/partitions=7/replicas=20/load=1.25", "consistent/partitions=7")

	differ := func(want string, placements ...string) {
		t.Helper()
		_, err := Check(placed(placements...))
		assert.ErrorContains(t, err, want)
		_, err = Method(placed(placements...))
		assert.Error(t, err)
	}
	differ(`hub "edgehub-0" is to be placed by rendezvous and hub "edgehub-2" by consistent/partitions=271/replicas=20/load=1.25: all need the same placement`, "", "", "consistent")
	differ(`by consistent/partitions=7/`, "consistent", "consistent/partitions=7")
	differ(`hub "edgehub-1": placement "jump": it must be rendezvous`, "", "jump")
}

func mustRing(t *testing.T) *hashring.Ring {
	t.Helper()
	ring, err := hashring.New([]hashring.Node{{Name: "a"}, {Name: "b"}})
	require.NoError(t, err)
	return ring
}

// All that is wrong is said at once, but not a thousand times.
func TestCheckReportsAll(t *testing.T) {
	_, err := Check([]Hub{{URL: "a:9091"}, {Name: "b", URL: "http://b", Weight: -1}, {Name: "c", URL: "http://user:secret@c"}, {}})
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	assert.Len(t, lines, 4, err)
	assert.Contains(t, lines[1], `hub "b": weight -1`)
	assert.NotContains(t, err.Error(), "secret")

	_, err = Check(make([]Hub, 1000))
	require.Error(t, err)
	assert.Equal(t, 10, strings.Count(err.Error(), "\n"), err)
	assert.True(t, strings.HasSuffix(err.Error(), "\nand 990 more"), err)
}

// Whatever controllers write for the same hub, it has one name and one URL.
func TestHubIsCanonical(t *testing.T) {
	is := func(name, base string, spelled ...string) {
		t.Helper()
		for _, s := range spelled {
			h := Hub{URL: s}.WithDefaults()
			assert.Equal(t, Hub{Name: name, URL: base, Weight: 1}, h, s)
			assert.Equal(t, h, h.WithDefaults(), s)
			assert.NoError(t, h.Validate(), s)
			assert.Equal(t, Hub{Name: "Mine.", URL: base, Weight: 2}, Hub{Name: "Mine.", URL: s, Weight: 2}.WithDefaults(), "a name that is given stays")
		}
	}
	is("edgehub-0:9091", "http://edgehub-0:9091",
		"http://edgehub-0:9091", "HTTP://EdgeHub-0:9091/", "http://edgehub-0.:9091", "http://edgehub-0:9091/metrics", "http://edgehub-0:9091//metrics//")
	is("edgehub", "http://edgehub", "http://edgehub", "http://edgehub:80", "http://EDGEHUB.:80/metrics/", "http://edgehub:")
	is("edgehub", "https://edgehub", "https://edgehub", "https://edgehub:443/")
	is("edgehub:443", "http://edgehub:443", "http://edgehub:443")
	is("metrics", "http://metrics", "http://metrics", "http://metrics/metrics", "http://metrics/metrics/metrics")
	is("edgehub", "http://edgehub/a%2Fb", "http://Edgehub/a%2Fb/metrics")
	is("edgehub", "http://edgehub/mymetrics", "http://edgehub/mymetrics")
	is("edgehub:9091", "http://edgehub:9091/metrics/job", "http://edgehub:9091/metrics/job")
	is("10.0.0.1", "http://10.0.0.1", "http://10.0.0.1:80", "http://[::ffff:10.0.0.1]")
	is("[2001:db8::1]:9091", "http://[2001:db8::1]:9091", "http://[2001:DB8:0::1]:9091")
	is("[2001:db8::1]", "https://[2001:db8::1]", "https://[2001:db8::1]:443")
	is("[fe80::1%eth0]:81", "http://[fe80::1%25eth0]:81", "http://[FE80::1%25eth0]:81")

	_, err := Check([]Hub{{URL: "http://edgehub"}, {URL: "http://EDGEHUB.:80/metrics"}})
	assert.EqualError(t, err, `hub "edgehub" is named twice`)
	for _, bad := range []string{"", "a:9091", "http://", "/metrics", "http://a b", "http://u:p@a/metrics", "http://a/metrics?x=1"} {
		assert.Error(t, Hub{Name: "a", URL: bad}.WithDefaults().Validate(), bad)
	}
}

// A list in the config, a file and DNS give a hub the same name.
func TestSourcesAgreeOnNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hubs.yml")
	write(t, path, "- targets: ['EdgeHub-0.example:80', 'edgehub-1.example.:9091']")
	listed, err := Check([]Hub{{URL: "http://edgehub-0.example/"}, {URL: "http://edgehub-1.example:9091/metrics"}})
	require.NoError(t, err)
	for _, source := range []interface {
		Hubs(ctx context.Context) ([]Hub, error)
	}{
		File{Path: path},
		DNS{Name: "edgehub", Resolver: fixedResolver{records: []*net.SRV{
			{Target: "edgehub-1.example.", Port: 9091}, {Target: "EDGEHUB-0.EXAMPLE.", Port: 80},
		}}},
	} {
		hubs, err := source.Hubs(t.Context())
		require.NoError(t, err)
		checked, err := Check(hubs)
		require.NoError(t, err)
		assert.Equal(t, listed, checked)
	}
}

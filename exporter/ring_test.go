package exporter_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	library "github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/exportertest"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/consistent"
	"github.com/hubring/hubring/internal/bubble"
	"github.com/hubring/hubring/internal/logtest"
)

type member string

func (m member) String() string { return string(m) }

type hasher struct{}

func (hasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }

// loads is a sample of each of n gateways, and one of no gateway.
func loads(n int) []magma.MetricAndContext {
	var items []magma.MetricAndContext
	for i := range n + 1 {
		item := magma.MetricAndContext{Family: &dto.MetricFamily{
			Name: proto.String("load"), Type: dto.MetricType_GAUGE.Enum(),
			Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(1)}}},
		}}
		item.Context.AdditionalContext = &magma.PushedMetricContext{NetworkID: "network-1"}
		if i < n {
			item.Context.AdditionalContext = &magma.GatewayMetricContext{NetworkID: "network-1", GatewayID: fmt.Sprintf("gw-%04d", i)}
		}
		items = append(items, item)
	}
	return items
}

// running starts an exporter, and returns what ends it.
func running(t *testing.T, cfg exporter.Config) (e *exporter.Exporter, stop func()) {
	t.Helper()
	e, err := exporter.New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	return e, func() {
		cancel()
		require.NoError(t, <-ended)
	}
}

// Config.Ring with the circle of buraksezer/consistent: each gateway's samples arrive at
// the hub that the library itself names, from every exporter, in whatever order its hubs are
// listed. When a hub dies its gateways go to all the others, and nobody else moves.
func TestRingOfTheLibrary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const gateways = 300
		circle := library.New(nil, library.Config{Hasher: hasher{}, PartitionCount: 271, ReplicationFactor: 20, Load: 1.25})
		n := exportertest.NewNetwork()
		defer n.Close()
		hubs := map[string]*exportertest.Hub{}
		var listed []exporter.Hub
		for i := range 5 {
			name := fmt.Sprintf("edgehub-%d", i)
			circle.Add(member(name))
			hubs[name] = n.Add(name)
			listed = append(listed, exporter.Hub{URL: "http://" + name})
		}
		var exporters []*exporter.Exporter
		for range 2 {
			e, stop := running(t, exporter.Config{
				Hubs: listed, Ring: consistent.Config{}.Ring, NoEnds: true,
				Transport: n.Transport(), Logger: slog.New(slog.DiscardHandler),
			})
			defer stop()
			exporters = append(exporters, e)
			listed = []exporter.Hub{listed[3], listed[0], listed[4], listed[2], listed[1]}
		}
		// homes are the hubs at which each gateway's samples have arrived since the last call.
		homes := func() map[string][]string {
			at := map[string][]string{}
			for name, hub := range hubs {
				for _, s := range hub.Samples() {
					if !slices.Contains(at[s.Gateway], name) {
						at[s.Gateway] = append(at[s.Gateway], name)
					}
				}
				hub.Reset()
			}
			return at
		}

		for _, e := range exporters {
			require.NoError(t, e.Push(t.Context(), loads(gateways)))
		}
		got := homes()
		require.Len(t, got, gateways+1)
		for gateway, at := range got {
			assert.Equal(t, []string{circle.LocateKey([]byte(gateway)).String()}, at, "gateway %q", gateway)
		}

		n.Kill("edgehub-1")
		for _, e := range exporters {
			require.NoError(t, e.Push(t.Context(), loads(gateways)))
		}
		heirs := map[string]int{}
		for gateway, at := range homes() {
			require.Len(t, at, 1, "the exporters agree on %q", gateway)
			if owner := circle.LocateKey([]byte(gateway)).String(); owner != "edgehub-1" {
				assert.Equal(t, owner, at[0], "gateway %q", gateway)
			} else {
				heirs[at[0]]++
			}
		}
		assert.Len(t, heirs, 4, "%v", heirs)
	})
}

// writeHubs writes a file of n hubs, one in each group, that names a placement unless that is empty.
func writeHubs(t *testing.T, path string, n int, placement string) {
	t.Helper()
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "- targets: [edgehub-%d:80]\n", i)
		if placement != "" {
			fmt.Fprintf(&text, "  labels: {__placement__: %s}\n", placement)
		}
	}
	require.NoError(t, os.WriteFile(path+".new", []byte(text.String()), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// Controllers that were told nothing but where the list of hubs is agree with the library that the list names, and go
// with it to another placement and back.
func TestPlacementOfTheList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hubs.yml")
	writeHubs(t, path, 5, "consistent/partitions=1021/replicas=50")
	synctest.Test(t, func(t *testing.T) {
		const gateways, controllers = 300, 3
		n := exportertest.NewNetwork()
		defer n.Close()
		circle := library.New(nil, library.Config{Hasher: hasher{}, PartitionCount: 1021, ReplicationFactor: 50, Load: 1.25})
		hubs, nodes := map[string]*exportertest.Hub{}, []hashring.Node{}
		for i := range 5 {
			name := fmt.Sprintf("edgehub-%d", i)
			circle.Add(member(name))
			hubs[name] = n.Add(name)
			nodes = append(nodes, hashring.Node{Name: name})
		}
		rendezvous, err := hashring.New(nodes)
		require.NoError(t, err)
		var log logtest.Buffer
		var exporters []*exporter.Exporter
		for range controllers {
			e, stop := running(t, exporter.Config{
				Members: members.File{Path: path}, NoEnds: true, Transport: n.Transport(), Logger: log.Logger(),
			})
			defer stop()
			exporters = append(exporters, e)
		}
		land := func(owner func(gateway string) string) {
			t.Helper()
			for _, e := range exporters {
				require.NoError(t, e.Push(t.Context(), loads(gateways)))
			}
			for name, hub := range hubs {
				for _, s := range hub.Samples() {
					require.Equal(t, owner(s.Gateway), name, "gateway %q", s.Gateway)
				}
				require.NotEmpty(t, hub.Samples())
				hub.Reset()
			}
		}
		byCircle := func(gateway string) string { return circle.LocateKey([]byte(gateway)).String() }
		land(byCircle)

		writeHubs(t, path, 5, "")
		bubble.Pass(15 * time.Second)
		land(func(gateway string) string { return rendezvous.Owner(gateway).Name })
		assert.Equal(t, controllers, log.Count(`msg="Hubs are to be placed otherwise" placement=rendezvous`), log.String())
		assert.Equal(t, controllers, log.Count(fmt.Sprintf("fingerprint=%016x", rendezvous.Fingerprint())), log.String())

		writeHubs(t, path, 5, "consistent/partitions=1021/replicas=50/load=1.25")
		bubble.Pass(15 * time.Second)
		land(byCircle)
		before := log.Count("The ring has changed")
		for _, wrong := range []string{"jump", "consistent/load=0.5"} { // a word that is none, and a circle that has no room
			writeHubs(t, path, 5, wrong)
			bubble.Pass(time.Minute)
			land(byCircle)
		}
		assert.Equal(t, before, log.Count("The ring has changed"))
		assert.Equal(t, controllers, log.Count(`line 1: __placement__: placement \"jump\": it must be rendezvous or consistent`), log.String())
		assert.Equal(t, controllers, log.Count("not enough room"), log.String())
	})
}

// Where Config.Ring and the list both say how hubs become a ring it has to be the same ring.
func TestRingBesideThePlacementOfTheList(t *testing.T) {
	circle := consistent.Config{PartitionCount: 1021}
	with := func(ring func([]hashring.Node) (*hashring.Ring, error), placements ...string) error {
		var hubs []exporter.Hub
		for i, placement := range placements {
			hubs = append(hubs, exporter.Hub{URL: fmt.Sprintf("http://edgehub-%d", i), Placement: placement})
		}
		_, err := exporter.New(exporter.Config{Hubs: hubs, Ring: ring})
		return err
	}
	assert.NoError(t, with(circle.Ring, "", ""))
	assert.ErrorContains(t, with(circle.Ring, "rendezvous", ""), "the hubs are to be placed by rendezvous, and Config.Ring makes another ring of them")
	assert.NoError(t, with(hashring.New, "rendezvous", ""))
	assert.NoError(t, with(circle.Ring, "consistent/partitions=1021", "consistent/partitions=1021/replicas=20"))
	assert.NoError(t, with(nil, "consistent/partitions=1021", "consistent/partitions=1021"))
	assert.ErrorContains(t, with(circle.Ring, "consistent", "consistent"),
		"the hubs are to be placed by consistent/partitions=271/replicas=20/load=1.25, and Config.Ring makes another ring of them: leave Config.Ring nil")
	assert.ErrorContains(t, with(hashring.New, "consistent", "consistent"), "Config.Ring makes another ring")
	for _, bad := range [][]string{{"jump", "jump"}, {"consistent", ""}} {
		var hubs []exporter.Hub
		for i, placement := range bad {
			hubs = append(hubs, exporter.Hub{URL: fmt.Sprintf("http://edgehub-%d", i), Placement: placement})
		}
		assert.ErrorContains(t, exporter.Config{Hubs: hubs}.Validate(), "Hubs")
		assert.Error(t, with(nil, bad...))
	}
	for want, cfg := range map[string]exporter.Config{
		"consistent/partitions=271/replicas=20/load=1.25": {Hubs: []exporter.Hub{{URL: "http://a", Placement: "consistent"}}},
		"rendezvous": {Hubs: []exporter.Hub{{URL: "http://a"}}},
		"config":     {Hubs: []exporter.Hub{{URL: "http://a"}}, Ring: circle.Ring},
		"":           {Members: &hubList{}},
	} {
		e, err := exporter.New(cfg)
		require.NoError(t, err)
		assert.Equal(t, want, e.Status().Ring.Method)
	}
	assert.ErrorContains(t, with(nil, "consistent", "consistent/load=2"), `Hubs: hub "edgehub-0" is to be placed by consistent/partitions=271/replicas=20/load=1.25 and hub "edgehub-1" by`)
	assert.ErrorContains(t, with(nil, "jump"), `Hubs[0] "edgehub-0": placement "jump"`)
}

// Members that name a placement which Config.Ring is not change nothing.
func TestMembersThatContradictRingChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := exportertest.NewNetwork()
		defer n.Close()
		first, second := n.Add("edgehub-0"), n.Add("edgehub-1")
		members := &hubList{}
		members.set(exporter.Hub{URL: "http://edgehub-0"})
		var log logtest.Buffer
		e, stop := running(t, exporter.Config{Members: members, NoEnds: true, Transport: n.Transport(), Logger: log.Logger(), Ring: consistent.Config{}.Ring})
		defer stop()
		bubble.Pass(time.Second)
		both := func(placement string) {
			members.set(exporter.Hub{URL: "http://edgehub-0", Placement: placement}, exporter.Hub{URL: "http://edgehub-1", Placement: placement})
			bubble.Pass(time.Minute)
			require.NoError(t, e.Push(t.Context(), loads(50)))
		}
		both("consistent/partitions=71")
		assert.Len(t, first.Samples(), 51)
		assert.Empty(t, second.Samples())
		assert.Equal(t, 1, log.Count("no ring can be built of them: the hubs are to be placed by consistent/partitions=71"), log.String())
		both("consistent")
		assert.NotEmpty(t, second.Samples())
		assert.Equal(t, 1, log.Count("Hubs can be looked up again"), log.String())
	})
}

func TestNewRefusesWhatRingRefuses(t *testing.T) {
	refused := func(ring func([]hashring.Node) (*hashring.Ring, error), want string) {
		t.Helper()
		_, err := exporter.New(exporter.Config{
			Hubs: []exporter.Hub{{URL: "http://a"}, {URL: "http://b", Weight: 2}}, Ring: ring,
		})
		assert.ErrorContains(t, err, want)
	}
	refused(consistent.Config{}.Ring, "the circle knows no weights: give all nodes the same")
	refused(consistent.Config{PartitionCount: -1}.Ring, "PartitionCount is -1")
	refused(func([]hashring.Node) (*hashring.Ring, error) { return nil, nil }, "not of the hubs")
	refused(func(nodes []hashring.Node) (*hashring.Ring, error) { return hashring.New(nodes[1:]) }, "not of the hubs")
	others := []hashring.Node{{Name: "a"}, {Name: "c"}}
	refused(func([]hashring.Node) (*hashring.Ring, error) { return hashring.New(others) }, "not of the hubs")
}

// hubList is a Membership that can be changed.
type hubList struct {
	mu   sync.Mutex
	hubs []exporter.Hub
}

func (l *hubList) set(hubs ...exporter.Hub) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hubs = hubs
}

// Hubs implements exporter.Membership.
func (l *hubList) Hubs(context.Context) ([]exporter.Hub, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.hubs), nil
}

// Members of which Ring makes no ring leave the old one in use, which is logged, and a
// later answer is taken as ever.
func TestARingThatCannotBeBuiltChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := exportertest.NewNetwork()
		defer n.Close()
		first, second := n.Add("edgehub-0"), n.Add("edgehub-1")
		members := &hubList{}
		members.set(exporter.Hub{URL: "http://edgehub-0"}, exporter.Hub{URL: "http://edgehub-1", Weight: 3})
		var log logtest.Buffer
		var builds atomic.Int64
		e, stop := running(t, exporter.Config{
			Members: members, NoEnds: true, Transport: n.Transport(), Logger: log.Logger(),
			Ring: func(nodes []hashring.Node) (*hashring.Ring, error) {
				builds.Add(1)
				return consistent.Config{}.Ring(nodes)
			},
		})
		require.NoError(t, e.Submit(t.Context(), loads(50)))
		bubble.Pass(time.Minute)
		assert.Empty(t, first.Samples(), "no ring can be built yet")

		members.set(exporter.Hub{URL: "http://edgehub-0"})
		bubble.Pass(time.Minute)
		assert.Len(t, first.Samples(), 51, "what waited is sent")

		members.set(exporter.Hub{URL: "http://edgehub-0"}, exporter.Hub{URL: "http://edgehub-1", Weight: 3})
		bubble.Pass(time.Minute)
		require.NoError(t, e.Push(t.Context(), loads(50)))
		assert.Len(t, first.Samples(), 2*51)
		assert.Empty(t, second.Samples(), "the old ring stays")

		members.set(exporter.Hub{URL: "http://edgehub-0"}, exporter.Hub{URL: "http://edgehub-1"})
		bubble.Pass(time.Minute)
		require.NoError(t, e.Push(t.Context(), loads(50)))
		assert.NotEmpty(t, second.Samples())
		before := builds.Load()
		bubble.Pass(time.Hour)
		stop()
		assert.Equal(t, before, builds.Load(), "a ring is built when the hubs change only")
		assert.Equal(t, 2, log.Count("the circle knows no weights"), log.String())
		assert.Equal(t, 2, log.Count("The ring has changed"), log.String())
	})
}

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	library "github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/fleet"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/consistent"
	"github.com/hubring/hubring/hashring/placement"
)

const (
	placedGateways  = 347
	seriesOfNobody  = 1500
	placedRing      = 3 // controllers
	allowedAbove    = 1000
	leastOfGateway  = 250
	mostOfGateway   = 350
	hubsAreAskedFor = 200 * time.Millisecond
)

// placedFleet is hubs as processes and a fleet of the production's shape, whose controllers
// read their hubs and their placement from files.
type placedFleet struct {
	t           *testing.T
	hubs        []*stack.Hub
	series      map[string]int // of each gateway, and of none
	hubsFile    string         // the controllers'
	placement   placement.File
	by          string // the hubs' placement, which their file names
	controllers []*exporter.Exporter
	stop        func()
}

func newPlacedFleet(t *testing.T, hubs int) *placedFleet {
	t.Helper()
	s := ownStack(t, stack.Config{Shards: hubs, HubsOnly: true, HubArgs: []string{"--no-gateway.first-samples"}})
	dir := t.TempDir()
	p := &placedFleet{
		t: t, series: map[string]int{"": seriesOfNobody},
		hubsFile: filepath.Join(dir, "hubs.yml"), placement: placement.File(filepath.Join(dir, "placement.json")),
	}
	for _, sh := range s.Shards {
		p.hubs = append(p.hubs, sh.Hub)
	}
	random := rand.New(rand.NewPCG(11, 14))
	for len(p.series) <= placedGateways {
		p.series[fmt.Sprintf("gw-%08x", random.Uint32())] = leastOfGateway + random.IntN(mostOfGateway-leastOfGateway+1)
	}
	return p
}

// name writes a file that names the first n hubs.
func (p *placedFleet) name(file string, n int) {
	p.t.Helper()
	var text strings.Builder
	for _, h := range p.hubs[:n] {
		fmt.Fprintf(&text, "- targets: [%q]\n  labels: {name: %q, __placement__: %q}\n", h.Address, h.Name, p.by)
	}
	require.NoError(p.t, os.WriteFile(file+".new", []byte(text.String()), 0o600))
	require.NoError(p.t, os.Rename(file+".new", file))
}

// begin starts the controllers.
func (p *placedFleet) begin() {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan error, placedRing)
	p.controllers = nil
	for range placedRing {
		e, err := exporter.New(exporter.Config{
			Members: members.File{Path: p.hubsFile}, MembersInterval: hubsAreAskedFor, MembersHold: time.Second,
			Inventory: p.placement.Read, MaxQueueBytes: 1 << 28, Logger: promslog.NewNopLogger(),
		})
		require.NoError(p.t, err)
		p.controllers = append(p.controllers, e)
		go func() { ended <- e.Run(ctx) }()
	}
	p.stop = func() {
		cancel()
		for range p.controllers {
			require.NoError(p.t, <-ended)
		}
	}
}

// push has all gateways report once, each to the next controller.
func (p *placedFleet) push() {
	p.t.Helper()
	reports := make([][]magma.MetricAndContext, placedRing)
	i := 0
	for gateway, n := range p.series {
		f := &dto.MetricFamily{Name: new("load"), Type: dto.MetricType_GAUGE.Enum()}
		for k := range n {
			f.Metric = append(f.Metric, &dto.Metric{
				Label: []*dto.LabelPair{{Name: new("part"), Value: new(strconv.Itoa(k))}}, Gauge: &dto.Gauge{Value: new(float64(k))},
			})
		}
		item := magma.MetricAndContext{Family: f}
		item.Context.AdditionalContext = &magma.PushedMetricContext{NetworkID: "network"}
		if gateway != "" {
			item.Context.AdditionalContext = &magma.GatewayMetricContext{NetworkID: "network", GatewayID: gateway}
		}
		reports[i%placedRing] = append(reports[i%placedRing], item)
		i++
	}
	for i, e := range p.controllers {
		require.NoError(p.t, e.Push(p.t.Context(), reports[i]))
	}
}

// forget restarts the hubs, which then know nobody.
func (p *placedFleet) forget() {
	p.t.Helper()
	for _, h := range p.hubs {
		h.Kill()
		require.NoError(p.t, h.Restart(p.t.Context()))
	}
}

// homes are the hubs at which the gateways pushed last, by the hubs' own lists.
func (p *placedFleet) homes() map[string]string {
	p.t.Helper()
	homes, last := map[string]string{}, map[string]float64{}
	for _, h := range p.hubs {
		families, err := fleet.Collect(p.t.Context(), h.URL()+"/gateways")
		require.NoError(p.t, err)
		for _, f := range families {
			for _, m := range f.Metric {
				switch gateway := labelOf(m, "gatewayID"); {
				case f.GetName() == "edgehub_no_gateway_series" && m.GetGauge().GetValue() > 0:
					homes[""] = h.Name
				case f.GetName() == "edgehub_gateway_last_push_timestamp_seconds" && m.GetGauge().GetValue() > last[gateway]:
					homes[gateway], last[gateway] = h.Name, m.GetGauge().GetValue()
				}
			}
		}
	}
	require.Len(p.t, homes, len(p.series))
	return homes
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.Label {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// loads are the series that the hubs have, by their own count.
func (p *placedFleet) loads(hubs int) (series []int, above float64) {
	p.t.Helper()
	total, most := 0, 0
	for _, h := range p.hubs[:hubs] {
		n := ownMetricNow(p.t, h, "edgehub_series", nil)
		series, total, most = append(series, n), total+n, max(most, n)
	}
	return series, float64(most) - float64(total)/float64(hubs)
}

// hubctl runs the command.
func hubctl(t *testing.T, args ...string) string {
	t.Helper()
	checkout, err := realbin.Checkout(".")
	require.NoError(t, err)
	path, err := stack.BuildHubctl(t.Context(), checkout, fixture.dir)
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// No hub has more than 1,000 series above the average, measured in the hubs, once hubctl has placed the fleet and
// the controllers have been started again.
func TestPlacedFleet(t *testing.T) {
	for _, hubs := range []int{3, 5, 10} {
		t.Run(strconv.Itoa(hubs), func(t *testing.T) {
			p := newPlacedFleet(t, hubs)
			p.name(p.hubsFile, hubs)
			p.begin()
			p.push()
			p.stop()
			before, aboveBefore := p.loads(hubs)
			t.Log(hubctl(t, "place", "--hubs.file="+p.hubsFile, string(p.placement)))

			p.forget()
			p.begin()
			p.push()
			p.stop()
			after, above := p.loads(hubs)
			t.Logf("by the ring alone %v, %.0f above the average; placed %v, %.0f above", before, aboveBefore, after, above)
			assert.LessOrEqual(t, above, float64(allowedAbove))
			assert.Greater(t, aboveBefore, float64(allowedAbove), "there was nothing to place")
		})
	}
}

var planned = regexp.MustCompile(`(?m)^ *(edgehub-\d) +(edgehub-\d) +([\d,]+) +([\d,]+) *$`)

// A rescale from 3 to 5 hubs moves what hubctl said, gateway by gateway.
func TestPlacedRescale(t *testing.T) {
	p := newPlacedFleet(t, 5)
	p.name(p.hubsFile, 3)
	hubctlOnce := func(file string) string { return hubctl(t, "place", "--hubs.file="+file, string(p.placement)) }
	p.begin()
	defer func() { p.stop() }()
	p.push()
	hubctlOnce(p.hubsFile)
	p.placed(1)
	p.push()
	before := p.homes()

	next := filepath.Join(t.TempDir(), "hubs.yml")
	p.name(next, 5)
	plan := hubctlOnce(next)
	t.Log(plan)
	p.name(p.hubsFile, 5)
	p.placed(2)
	p.push()
	after := p.homes()

	file, err := p.placement.Read(t.Context())
	require.NoError(t, err)
	base, err := hashring.New(file.Hubs)
	require.NoError(t, err)
	ring, err := file.Ring(base)
	require.NoError(t, err)
	type move struct{ from, to string }
	keys, series := map[move]int{}, map[move]int{}
	for gateway, home := range after {
		assert.Equal(t, ring.Owner(gateway).Name, home, "gateway %q", gateway)
		if before[gateway] != home {
			keys[move{before[gateway], home}]++
			series[move{before[gateway], home}] += p.series[gateway]
		}
	}
	said := planned.FindAllStringSubmatch(plan, -1)
	require.Len(t, said, len(keys))
	for _, s := range said {
		m := move{s[1], s[2]}
		assert.Equal(t, s[3], grouped(keys[m]), "keys that went from %s to %s", m.from, m.to)
		assert.Equal(t, s[4], grouped(series[m]), "series that went from %s to %s", m.from, m.to)
	}
	assert.Contains(t, plan, "From 3 to 5 hubs, 348 keys with ")
}

func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// placed waits until all controllers follow a placement, and have the hubs that it was made for.
func (p *placedFleet) placed(serial uint64) {
	p.t.Helper()
	file, err := p.placement.Read(p.t.Context())
	require.NoError(p.t, err)
	require.Equal(p.t, serial, file.Serial)
	p.follows(fmt.Sprintf("%016x", file.Fingerprint))
}

// follows waits until all controllers have the ring with a fingerprint.
func (p *placedFleet) follows(fingerprint string) {
	p.t.Helper()
	eventually(p.t, patience, func(context.Context) error {
		for i, e := range p.controllers {
			if got := fingerprintOf(p.t, e); got != fingerprint {
				return fmt.Errorf("controller %d has ring %s, wanted is %s", i, got, fingerprint)
			}
		}
		return nil
	})
}

type circleMember string

func (m circleMember) String() string { return string(m) }

type circleHasher struct{}

func (circleHasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }

// circleOf is the library with some hubs.
func (p *placedFleet) circleOf(partitions, replicas int) *library.Consistent {
	circle := library.New(nil, library.Config{
		Hasher: circleHasher{}, PartitionCount: partitions, ReplicationFactor: replicas, Load: consistent.DefaultLoad,
	})
	for _, h := range p.hubs {
		circle.Add(circleMember(h.Name))
	}
	return circle
}

// The same fleet by consistent lands where the library says, from three controllers that know nothing but the file of
// hubs, and goes with a change of that file to where it says then. Hubctl places it by the same file, too.
func TestFleetOnTheCircle(t *testing.T) {
	p := newPlacedFleet(t, 5)
	p.by = "consistent"
	p.name(p.hubsFile, 5)
	p.begin()
	defer func() { p.stop() }()
	p.push()
	before, circle := p.homes(), p.circleOf(consistent.DefaultPartitionCount, consistent.DefaultReplicationFactor)
	for gateway, home := range before {
		assert.Equal(t, circle.LocateKey([]byte(gateway)).String(), home, "gateway %q", gateway)
	}

	p.by = "consistent/partitions=20011/replicas=50"
	p.name(p.hubsFile, 5)
	var nodes []hashring.Node
	for _, h := range p.hubs {
		nodes = append(nodes, hashring.Node{Name: h.Name})
	}
	ring, err := consistent.New(nodes, consistent.Config{PartitionCount: 20_011, ReplicationFactor: 50})
	require.NoError(t, err)
	p.follows(fmt.Sprintf("%016x", ring.Fingerprint()))
	p.push()
	after := p.homes()
	delete(after, "") // hubs that they left know their series still
	circle = p.circleOf(20_011, 50)
	for gateway, home := range after {
		assert.Equal(t, circle.LocateKey([]byte(gateway)).String(), home, "gateway %q", gateway)
	}
	delete(before, "")
	assert.NotEqual(t, before, after)

	t.Log(hubctl(t, "place", "--threshold=0", "--hubs.file="+p.hubsFile, string(p.placement)))
	p.placed(1)
	p.push()
	file, err := p.placement.Read(t.Context())
	require.NoError(t, err)
	placed := p.homes()
	delete(placed, "")
	for gateway, home := range placed {
		want, moved := file.Homes[gateway]
		if !moved {
			want = circle.LocateKey([]byte(gateway)).String()
		}
		assert.Equal(t, want, home, "gateway %q", gateway)
	}
}

// fingerprintOf is that of a controller's ring, as its status page has it.
func fingerprintOf(t *testing.T, e *exporter.Exporter) string {
	t.Helper()
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?format=json", nil))
	var status struct {
		Ring struct {
			Fingerprint string `json:"fingerprint"`
		} `json:"ring"`
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &status))
	return status.Ring.Fingerprint
}

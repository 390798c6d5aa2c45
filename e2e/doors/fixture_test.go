package doors

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	// So that go test's cache notices when the hub has changed.
	_ "github.com/hubring/hubring/edgehub"

	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// nightly asks for the clients whose programs take many minutes to build, and for hubs that are full for half a minute.
var nightly = flag.Bool("nightly", false, "push with the clients whose programs take many minutes to build, and to hubs that are full for half a minute")

const (
	loggedBytes = 3000 // of each program, printed by a failed test
	patience    = time.Minute
)

// fixture is what the tests share.
var fixture struct {
	once              sync.Once
	programs, edgehub string
	err               error
	dir               string // removed at the end
}

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "hubring-doors-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "doors:", err)
		os.Exit(1)
	}
	fixture.dir = dir
	status := m.Run()
	_ = os.RemoveAll(dir) // a temporary folder
	os.Exit(status)
}

// programs builds what is missing.
func programs(t *testing.T) (dir, edgehub string) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real programs")
	}
	f := &fixture
	f.once.Do(func() {
		var checkout string
		if checkout, f.err = realbin.Checkout("."); f.err != nil {
			return
		}
		if f.programs, f.err = realbin.Dir(t.Context(), checkout, os.Stderr); f.err == nil {
			f.edgehub, f.err = stack.BuildHub(t.Context(), checkout, f.dir, raceEnabled)
		}
	})
	require.NoError(t, f.err)
	return f.programs, f.edgehub
}

// shard is a hub with its log on disk, and the Prometheus that scrapes it.
type shard struct {
	*stack.Stack
	t      *testing.T
	hub    *stack.Hub
	server *promapi.Client
}

// start starts a shard whose hub has more arguments, such as a limit, and whose server scrapes by protobuf.
func start(t *testing.T, hubArgs ...string) *shard {
	t.Helper()
	return startBy(t, true, hubArgs...)
}

// startBy starts one whose server scrapes by protobuf, or by text.
func startBy(t *testing.T, protobuf bool, hubArgs ...string) *shard {
	t.Helper()
	return startWith(t, stack.Config{Protobuf: protobuf, HubArgs: hubArgs})
}

// startWith starts a shard of a config, of which it sets what all have.
func startWith(t *testing.T, cfg stack.Config) *shard {
	t.Helper()
	dir, edgehub := programs(t)
	cfg.Programs, cfg.EdgeHub, cfg.Dir, cfg.Shards, cfg.HubLogs = dir, edgehub, t.TempDir(), 1, true
	s, err := stack.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	t.Cleanup(func() {
		if t.Failed() {
			s.DumpLogs(t.Output(), loggedBytes)
		}
	})
	return &shard{s, t, s.Shards[0].Hub, promapi.New(s.Shards[0].Prometheus)}
}

// has waits until each query has one series, of this value.
func (s *shard) has(want map[string]float64) {
	s.t.Helper()
	s.eventually(func(ctx context.Context) error {
		for query, value := range want {
			v, err := s.server.Vector(ctx, query)
			if err != nil {
				return err
			}
			if len(v) != 1 || float64(v[0].Value) != value {
				return fmt.Errorf("%s is %v, not %v", query, v, value)
			}
		}
		return nil
	})
}

// hasTypes waits until the server knows these types.
func (s *shard) hasTypes(want map[string]string) {
	s.t.Helper()
	s.eventually(func(ctx context.Context) error {
		var got map[string][]struct{ Type string }
		if err := s.server.Get(ctx, "/api/v1/metadata", nil, &got); err != nil {
			return err
		}
		for family, kind := range want {
			if known := got[family]; len(known) != 1 || known[0].Type != kind {
				return fmt.Errorf("%s is of types %v, not %s", family, known, kind)
			}
		}
		return nil
	})
}

// eventually polls until try succeeds.
func (s *shard) eventually(try func(context.Context) error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	require.NoError(s.t, process.Until(ctx, func() error { return try(ctx) }))
}

// full keeps the server from scraping until the hub has refused pushes for some seconds, and then lets it go on. A test that calls it gives its
// hub a small --limit.samples, and pushes all the while.
func (s *shard) full() {
	s.t.Helper()
	server := s.Shards[0].Server.Process
	require.NoError(s.t, server.Suspend(s.t.Context()))
	s.eventually(func(ctx context.Context) error {
		n, err := s.refused(ctx)
		if err == nil && n == 0 {
			err = fmt.Errorf("nothing was refused yet")
		}
		return err
	})
	whole := 5 * time.Second
	if *nightly {
		whole = 30 * time.Second
	}
	select { // that is how long it is full
	case <-time.After(whole):
	case <-s.t.Context().Done():
	}
	require.NoError(s.t, server.Resume())
}

// refused is how many pushes the hub has refused for want of room.
func (s *shard) refused(ctx context.Context) (n int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.hub.URL()+"/internal", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var text strings.Builder
	if err := resp.Write(&text); err != nil {
		return 0, err
	}
	for line := range strings.Lines(text.String()) {
		for _, reason := range []string{"hub_full", "gateway_share"} { // the latter where one gateway fills it by large pushes
			var some int
			if _, err := fmt.Sscanf(line, `edgehub_pushes_rejected_total{reason="`+reason+`"} %d`, &some); err == nil {
				n += some
			}
		}
	}
	return n, nil
}

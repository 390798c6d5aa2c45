package exporter

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/exportertest"
)

// controllerVariable makes the test binary a controller in place of running tests. Its arguments are SpoolDir and
// the URLs of its hubs.
const controllerVariable = "HUBRING_TEST_CONTROLLER"

// control is a controller that submits from several goroutines as fast as it can, and prints what Submit
// returned nil for, a line each, until stdin ends; then it delivers what is left.
func control(dir string, hubs []string) {
	cfg := Config{SpoolDir: dir, SpoolPolicy: SpoolAll, Logger: slog.New(slog.DiscardHandler)}
	for _, u := range hubs {
		cfg.Hubs = append(cfg.Hubs, Hub{URL: u})
	}
	e, err := Start(cfg)
	if err != nil {
		fail(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var submitting sync.WaitGroup
	for i := range 8 {
		submitting.Go(func() {
			gateway := fmt.Sprintf("gw-%d-%d", os.Getpid(), i)
			for value := 1; ctx.Err() == nil; value++ {
				if err := e.Submit(context.Background(), reports(value, gateway)); err != nil {
					fail(err)
				}
				fmt.Println(gateway, value)
			}
		})
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
	submitting.Wait()
	if err := e.Close(context.Background()); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A controller that is killed at any time, again and again, loses nothing that a Submit returned nil for: it
// arrives at a hub, from that process or the next.
func TestKilledControllerLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	const lives = 8
	var mu sync.Mutex
	arrived := map[string]int{} // by gateway and value
	var args []string
	for range 2 {
		hub := exportertest.NewHub(exportertest.KeepSamples(0), exportertest.KeepPushes(0))
		hub.Always(exportertest.Reply{Delay: 5 * time.Millisecond})
		hub.OnPush(func(_ exportertest.Push, text []byte) {
			samples, err := exportertest.Parse(text)
			mu.Lock()
			defer mu.Unlock()
			assert.NoError(t, err)
			for _, s := range samples {
				arrived[fmt.Sprint(s.Gateway, " ", s.Value)]++
			}
		})
		server := httptest.NewServer(hub)
		defer server.Close()
		defer hub.Close()
		args = append(args, server.URL)
	}
	args = append([]string{t.TempDir()}, args...)
	var taken []string
	for life := range lives {
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), controllerVariable+"=1")
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		end, last := 1+rand.IntN(2000), life == lives-1
		said := bufio.NewScanner(stdout)
		for lines := 1; said.Scan(); lines++ {
			taken = append(taken, said.Text())
			switch {
			case lines < end:
			case last:
				_ = stdin.Close()
			default:
				_ = cmd.Process.Kill() // what it said before is in the pipe still
			}
		}
		require.NoError(t, said.Err())
		if err := cmd.Wait(); last {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, "signal: killed")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	again := 0
	for _, sample := range taken {
		require.Positive(t, arrived[sample], "%s is lost", sample)
		if arrived[sample] > 1 {
			again++
		}
	}
	t.Logf("%d controllers were killed; all %d samples of a Submit that returned nil arrived, %d of them more than once", lives-1, len(taken), again)
}

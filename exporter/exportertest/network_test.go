package exportertest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/exportertest"
)

// pushFunc pushes a body to a hub. Its error is that of the client, or an answer other
// than 200.
type pushFunc func(ctx context.Context, name string, body io.Reader) error

// bubble runs a test against a network in virtual time, with a client that reports
// what comes of a push.
func bubble(t *testing.T, f func(t *testing.T, n *exportertest.Network, push pushFunc)) {
	synctest.Test(t, func(t *testing.T) {
		n := exportertest.NewNetwork()
		defer n.Close()
		client := &http.Client{Transport: n.Transport()}
		f(t, n, func(ctx context.Context, name string, body io.Reader) error {
			resp, err := client.Do(request(t, http.MethodPost, "http://"+name+"/metrics", body).WithContext(ctx))
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if resp.StatusCode != http.StatusOK {
				return errors.New(resp.Status + " " + string(text))
			}
			return err
		})
	})
}

func aLine() io.Reader { return strings.NewReader(line) }

func TestNetworkNames(t *testing.T) {
	bubble(t, func(t *testing.T, n *exportertest.Network, push pushFunc) {
		ctx := t.Context()
		a, b := n.Add("a"), n.Add("b:9091")
		require.NoError(t, push(ctx, "a", aLine()))
		require.NoError(t, push(ctx, "a:9091", aLine()))
		require.NoError(t, push(ctx, "b:9091", aLine()))
		assert.Len(t, a.Samples(), 2)
		assert.Len(t, b.Samples(), 1)

		noHost := func(name string) {
			t.Helper()
			dns, ok := errors.AsType[*net.DNSError](push(ctx, name, aLine()))
			require.True(t, ok)
			assert.True(t, dns.IsNotFound)
		}
		noHost("b")
		noHost("c")
		n.Remove("a")
		noHost("a")
		again := n.Add("a")
		require.NoError(t, push(ctx, "a", aLine()))
		assert.Len(t, again.Samples(), 1)
		assert.Len(t, a.Samples(), 2, "another hub now")
		n.Add("a")
		require.NoError(t, push(ctx, "a", aLine()))
		assert.Len(t, again.Samples(), 1)
		assert.PanicsWithValue(t, `exportertest: there is no hub "c" in the network`, func() { n.Kill("c") })
	})
}

func TestKillCutsAndRefuses(t *testing.T) {
	bubble(t, func(t *testing.T, n *exportertest.Network, push pushFunc) {
		ctx := t.Context()
		hub := n.Add("a")
		require.NoError(t, push(ctx, "a", aLine()), "leaves an idle connection")
		n.Kill("a")
		n.Kill("a")
		require.ErrorIs(t, push(ctx, "a", aLine()), syscall.ECONNREFUSED)
		n.Start("a")
		n.Start("a")
		require.NoError(t, push(ctx, "a", aLine()))

		hub.Always(exportertest.Reply{Delay: time.Minute})
		ended := make(chan error)
		go func() { ended <- push(ctx, "a", aLine()) }()
		time.Sleep(time.Second)
		n.Kill("a")
		require.ErrorIs(t, <-ended, syscall.ECONNRESET)
		n.Start("a")
		time.Sleep(time.Hour)
		assert.Len(t, hub.Samples(), 2)
		require.NoError(t, push(ctx, "a", aLine()))
		assert.Len(t, hub.Samples(), 3)
	})
}

// A hub dies while a body is under way, which nobody goes on with.
func TestKillMidBody(t *testing.T) {
	bubble(t, func(t *testing.T, n *exportertest.Network, push pushFunc) {
		hub := n.Add("a")
		body, feed := io.Pipe()
		ended := make(chan error)
		go func() { ended <- push(t.Context(), "a", body) }()
		_, err := feed.Write([]byte(line))
		require.NoError(t, err)
		synctest.Wait()
		n.Kill("a")
		synctest.Wait()
		require.Len(t, hub.Pushes(), 1)
		assert.False(t, hub.Pushes()[0].Taken)
		assert.True(t, hub.Pushes()[0].Done)
		assert.Equal(t, len(line), hub.Pushes()[0].Bytes)
		require.NoError(t, feed.Close()) // net/http returns when it is done with the body
		require.ErrorIs(t, <-ended, syscall.ECONNRESET)
	})
}

// CutAfter does not wait for the rest of a body.
func TestCutMidBody(t *testing.T) {
	bubble(t, func(t *testing.T, n *exportertest.Network, push pushFunc) {
		hub := n.Add("a")
		hub.Reply(exportertest.Reply{CutAfter: 10})
		body, feed := io.Pipe()
		ended := make(chan error)
		go func() { ended <- push(t.Context(), "a", body) }()
		_, err := feed.Write([]byte(line))
		require.NoError(t, err)
		require.NoError(t, hub.WaitPushes(t.Context(), 1))
		require.NoError(t, feed.Close())
		require.ErrorIs(t, <-ended, syscall.ECONNRESET)
		assert.Equal(t, 10, hub.Pushes()[0].Bytes)
		require.NoError(t, push(t.Context(), "a", aLine()))
		assert.Len(t, hub.Samples(), 1)
	})
}

// A hub that stands still takes connections and nothing else.
func TestFreeze(t *testing.T) {
	bubble(t, func(t *testing.T, n *exportertest.Network, push pushFunc) {
		hub := n.Add("a")
		require.NoError(t, push(t.Context(), "a", aLine()))
		ended := make(chan error, 3)
		hub.Reply(exportertest.Reply{Delay: time.Second})
		go func() { ended <- push(t.Context(), "a", aLine()) }() // frozen while the hub thinks
		synctest.Wait()
		n.Freeze("a")
		go func() { ended <- push(t.Context(), "a", aLine()) }() // and one that comes later
		time.Sleep(time.Hour)
		assert.Len(t, hub.Samples(), 1)
		assert.Len(t, hub.Pushes(), 2)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, push(ctx, "a", aLine()), context.DeadlineExceeded)
		large, cancelLarge := context.WithTimeout(t.Context(), time.Second)
		defer cancelLarge()
		require.ErrorIs(t, push(large, "a", strings.NewReader(strings.Repeat(line, 10_000))), context.DeadlineExceeded, "more than fits")
		assert.Empty(t, ended)

		n.Thaw("a")
		require.NoError(t, <-ended)
		require.NoError(t, <-ended)
		n.Freeze("a")
		go func() { ended <- push(t.Context(), "a", aLine()) }()
		synctest.Wait()
		n.Kill("a")
		require.ErrorIs(t, <-ended, syscall.ECONNRESET)
		n.Start("a")
		require.NoError(t, push(t.Context(), "a", aLine()), "a new process is not frozen")
	})
}

// Virtual time: an hour's answer takes an hour of it.
func TestDelayInVirtualTime(t *testing.T) {
	bubble(t, func(t *testing.T, n *exportertest.Network, push pushFunc) {
		hub := n.Add("a")
		begin := time.Now()
		hub.Reply(exportertest.Reply{}, exportertest.Reply{Delay: time.Hour}, exportertest.Reply{Hang: true}, exportertest.Reply{Hang: true, Kept: true})
		require.NoError(t, push(t.Context(), "a", aLine()))
		assert.Zero(t, time.Since(begin))
		require.NoError(t, push(t.Context(), "a", aLine()))
		assert.Equal(t, time.Hour, time.Since(begin))
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			require.ErrorIs(t, push(ctx, "a", aLine()), context.DeadlineExceeded)
			cancel()
		}
		assert.Equal(t, time.Hour+2*time.Minute, time.Since(begin))
		synctest.Wait()
		assert.Len(t, hub.Samples(), 3)
		assert.Equal(t, begin, hub.Pushes()[1].At)
		assert.True(t, hub.Pushes()[3].Taken)
		assert.Zero(t, hub.Pushes()[3].Status)
	})
}

// net/http tries a request again that may be repeated, on a connection that was used
// before: Reply's doc says so.
func TestLostIsRepeatedUnseen(t *testing.T) {
	bubble(t, func(t *testing.T, n *exportertest.Network, _ pushFunc) {
		hub := n.Add("a")
		client := &http.Client{Transport: n.Transport()}
		send := func() error {
			r := request(t, http.MethodPost, "http://a/metrics", aLine())
			r.Header["Idempotency-Key"] = nil
			resp, err := client.Do(r)
			if err == nil {
				err = resp.Body.Close()
			}
			return err
		}
		require.NoError(t, send())
		hub.Reply(exportertest.Reply{Lost: true})
		require.NoError(t, send())
		assert.Len(t, hub.Samples(), 3)
		hub.Always(exportertest.Reply{Lost: true})
		require.ErrorIs(t, send(), syscall.ECONNRESET)
		assert.Len(t, hub.Samples(), 5)
	})
}

// A hook may do to the network what a test does.
func TestHookKillsItsOwnHub(t *testing.T) {
	bubble(t, func(t *testing.T, n *exportertest.Network, push pushFunc) {
		hub := n.Add("a", exportertest.KeepSamples(0), exportertest.KeepPushes(0))
		pushes := 0
		hub.OnPush(func(exportertest.Push, []byte) {
			if pushes++; pushes == 2 {
				n.Kill("a")
			}
		})
		require.NoError(t, push(t.Context(), "a", aLine()))
		require.ErrorIs(t, push(t.Context(), "a", aLine()), syscall.ECONNRESET)
		require.ErrorIs(t, push(t.Context(), "a", aLine()), syscall.ECONNREFUSED)
		assert.Equal(t, 2, pushes)
	})
}

// Close ends what is under way, wherever it is, and all goroutines: the bubble would not end
// otherwise.
func TestCloseEndsEverything(t *testing.T) {
	bubble(t, func(t *testing.T, n *exportertest.Network, push pushFunc) {
		ended := make(chan error, 4)
		hang := n.Add("hang")
		hang.Always(exportertest.Reply{Hang: true})
		n.Add("frozen")
		n.Freeze("frozen")
		n.Add("well")
		require.NoError(t, push(t.Context(), "well", aLine()))
		body, feed := io.Pipe()
		go func() { ended <- push(t.Context(), "hang", aLine()) }()
		go func() { ended <- push(t.Context(), "frozen", aLine()) }()
		go func() { ended <- push(t.Context(), "well", body) }()
		synctest.Wait()
		n.Close()
		require.NoError(t, feed.Close())
		for range 3 {
			require.Error(t, <-ended)
		}
		require.ErrorIs(t, push(t.Context(), "well", aLine()), net.ErrClosed)
		n.Close()
		n.Add("late")
		require.ErrorIs(t, push(t.Context(), "late", aLine()), net.ErrClosed)
	})
}

// Everything at once, in real time: for the race detector, and no goroutine stays.
func TestNetworkUnderLoad(t *testing.T) {
	n := exportertest.NewNetwork()
	defer n.Close()
	names := []string{"a", "b", "c"}
	hubs := map[string]*exportertest.Hub{}
	for _, name := range names {
		hubs[name] = n.Add(name)
	}
	var all sync.WaitGroup
	client := &http.Client{Transport: n.Transport(), Timeout: 200 * time.Millisecond}
	var mu sync.Mutex
	answered := map[string]int{}
	for i := range 6 {
		all.Go(func() {
			name := names[i%3]
			for range 100 {
				if post(client, "http://"+name, report("g", 50)) == "200 OK" {
					mu.Lock()
					answered[name] += 50
					mu.Unlock()
				}
			}
		})
	}
	all.Go(func() {
		for i := range 100 {
			name, hub := names[i%3], hubs[names[i%3]]
			n.Kill(name)
			hub.Reply(exportertest.Reply{Lost: true}, exportertest.Reply{CutAfter: 100}, exportertest.Reply{Delay: time.Microsecond})
			n.Start(name)
			n.Freeze(name)
			hub.Pushes()
			n.Thaw(name)
			hub.Advertise(i%2 == 0)
		}
	})
	all.Wait()
	client.Timeout = 0
	for name, hub := range hubs {
		hub.Recover()
		assert.GreaterOrEqual(t, len(hub.Samples()), answered[name], "what was answered arrived")
		assert.Equal(t, "200 OK", post(client, "http://"+name, line))
	}
}

// A hub of a network may have a port besides.
func TestHubOnBoth(t *testing.T) {
	n := exportertest.NewNetwork()
	defer n.Close()
	hub := n.Add("a")
	server := httptest.NewServer(hub)
	defer server.Close()
	assert.Equal(t, "200 OK", post(server.Client(), server.URL, line))
	assert.Equal(t, "200 OK", post(&http.Client{Transport: n.Transport()}, "http://a", line))
	assert.Len(t, hub.Samples(), 2)
}

// A push that was read in full when its hub is killed, and waits for the one before it, is
// not taken in.
func TestNothingIsTakenInAfterKill(t *testing.T) {
	bubble(t, func(t *testing.T, n *exportertest.Network, push pushFunc) {
		hub := n.Add("a")
		inside, goOn := make(chan struct{}), make(chan struct{})
		hub.OnPush(func(exportertest.Push, []byte) {
			close(inside)
			<-goOn
		})
		ended := make(chan error)
		for range 2 {
			go func() { ended <- push(t.Context(), "a", aLine()) }()
		}
		<-inside
		synctest.Wait() // the other one has its turn next
		n.Kill("a")
		close(goOn)
		require.ErrorIs(t, <-ended, syscall.ECONNRESET)
		require.ErrorIs(t, <-ended, syscall.ECONNRESET)
		synctest.Wait()
		assert.Len(t, hub.Samples(), 1)
		assert.Len(t, hub.Pushes(), 2)
	})
}

package edgehub

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// storing makes a hub on a directory, and waits until it has read what is there.
func storing(t testing.TB, dir string, cfg Config) *Hub {
	t.Helper()
	cfg.StoragePath = dir
	h := newWholeHub(t, cfg)
	require.Eventually(t, func() bool { return h.store.Refuses() == nil }, 10*time.Second, time.Millisecond)
	return h
}

// waiting is what waits in a hub, in the order of names and times.
func waitingIn(h *Hub) (lines []string) {
	for name, p := range h.Pending() {
		lines = append(lines, fmt.Sprintf("%s %v %d", name, p.Value, p.Time))
	}
	slices.Sort(lines)
	return lines
}

// A hub that is started on the directory of another one has what waited there, its types, its gateways, and
// since when they are here; it goes on as the other one would have.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	first := storing(t, dir, Config{})
	push := func(h *Hub, text string) {
		t.Helper()
		_, err := h.Push(t.Context(), Text, []byte(text))
		require.NoError(t, err)
	}
	now := time.Now().UnixMilli()
	push(first, fmt.Sprintf("# HELP x so much\n# TYPE x gauge\nx{gatewayID=\"a\"} 1 %d\nx{gatewayID=\"b\"} 2 %d\ny 3 %d\n", now, now+1, now))
	passAll(first)
	push(first, fmt.Sprintf("x{gatewayID=\"a\"} 4 %d\nx{gatewayID=\"c\",l=\"\\n\"} 5 %d\n", now+2, now+3))
	before := waitingIn(first)
	require.Len(t, before, 3, "with the first sample of c")
	gateways := first.store.Gateways()
	require.Len(t, gateways, 3)
	first.Close(t.Context())

	second := storing(t, dir, Config{})
	assert.Equal(t, before, waitingIn(second))
	assert.Equal(t, gateways, second.store.Gateways())
	numbers := second.store.Table().Numbers([]string{"a", "b", "c"})
	assert.Equal(t, []int64{now, now + 1, now + 3}, second.store.Log.Here(numbers))
	push(second, fmt.Sprintf("x{gatewayID=\"a\"} 6 %d\n", now+4))
	assert.Len(t, waitingIn(second), len(before)+1, "it was here before, and nothing is said of that again")
	w := httptest.NewRecorder()
	second.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	assert.Contains(t, w.Body.String(), "# HELP x so much\n# TYPE x gauge\n")
}

// A disk that cannot be opened does not end the hub: it says why it is not ready, refuses what needs the disk, and goes on
// when the disk can be opened.
func TestDiskThatCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a file")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		h := newHub(t, Config{StoragePath: filepath.Join(path, "hub")})
		ask := func(method, path, body string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			h.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
			return w
		}
		synctest.Wait()
		ready := ask("GET", "/-/ready", "")
		assert.Equal(t, 503, ready.Code)
		assert.Contains(t, ready.Body.String(), "edgehub is not ready: the hub's disk cannot be opened: create the storage directory: ")
		assert.Equal(t, 200, ask("GET", "/-/healthy", "").Code)
		push := ask("POST", "/metrics", "x 1\n")
		assert.Equal(t, 503, push.Code)
		assert.Equal(t, "storage_unavailable", push.Header().Get("Hubring-Reason"))
		for _, path := range []string{"/metrics", "/metrics?drain=1", "/gateways", "/debug"} {
			assert.Equal(t, 503, ask("GET", path, "").Code, path)
		}
		assert.Equal(t, 503, ask("POST", "/gateways/ended", "a 1700000000000\n").Code)

		require.NoError(t, os.Remove(path))
		time.Sleep(6 * time.Second)
		synctest.Wait()
		assert.Equal(t, 200, ask("GET", "/-/ready", "").Code)
		assert.Equal(t, 200, ask("POST", "/metrics", "x 1\n").Code)
		assert.Regexp(t, `^x 1 \d+\n$`, ask("GET", "/metrics", "").Body.String())
		h.Close(ended())
	})
}

// Two hubs on one directory: the second waits until the first has gone.
func TestDirectoryInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		first := newHub(t, Config{StoragePath: dir})
		synctest.Wait()
		require.NoError(t, first.store.Refuses())
		second := newHub(t, Config{StoragePath: dir})
		synctest.Wait()
		require.ErrorContains(t, second.store.Refuses(), "directory is in use")
		first.Close(ended())
		time.Sleep(6 * time.Second)
		synctest.Wait()
		require.NoError(t, second.store.Refuses())
		second.Close(ended())
	})
}

package edgehub

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
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

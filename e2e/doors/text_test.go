package doors

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What is pushed as text while the hub is full, and again until it is taken, is in the server once.
func TestTextWhileTheHubIsFull(t *testing.T) {
	t.Parallel()
	s := start(t, "--limit.samples=200", "--no-gateway.first-samples")
	stop, pushed := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { pushed <- n }()
		for {
			body := fmt.Sprintf("# TYPE pushed_total counter\npushed_total{gatewayID=\"gw\"} %d %d\n", n, time.Now().UnixMilli())
			for taken := false; !taken; {
				resp, err := http.Post(s.hub.URL()+"/metrics", "", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
				if taken = resp.StatusCode == http.StatusOK; !taken && resp.StatusCode != http.StatusTooManyRequests {
					t.Error(resp.Status)
					return
				}
				select {
				case <-time.After(5 * time.Millisecond): // the client's interval
				case <-t.Context().Done():
					return
				}
			}
			n++
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	s.full()
	close(stop)
	n := <-pushed
	require.Positive(t, n)
	s.has(map[string]float64{
		`count_over_time(pushed_total{gatewayID="gw"}[10m])`: float64(n),
		`max_over_time(pushed_total{gatewayID="gw"}[10m])`:   float64(n - 1),
	})
}

//go:build linux

package charttest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/charts/test/internal/kubelet"
)

// fleetRules has an alert for each gateway that raises its alarm.
const fleetRules = `
rules:
  groups:
    - name: fleet
      rules:
        - alert: GatewayAlarm
          expr: gateway_alarm > 0
`

// inboxAddress is where the test takes notifications.
const inboxAddress = kubelet.Host + ":9999"

// toldAlertmanager notifies the test, at once and of each gateway apart.
const toldAlertmanager = `
alertmanager:
  enabled: true
  config:
    route: {receiver: test, group_by: [alertname, gatewayID], group_wait: 0s}
    receivers: [{name: test, webhook_configs: [{url: "http://` + inboxAddress + `/", send_resolved: false}]}]
`

// alert is one as Alertmanager tells of it, to receivers and in its API.
type alert struct {
	Labels map[string]string `json:"labels"`
}

// inbox takes Alertmanager's notifications.
type inbox struct {
	mu    sync.Mutex
	count map[string]int // firing, by gateway
}

// openInbox listens until the test ends.
func openInbox(t *testing.T) *inbox {
	t.Helper()
	listener, err := net.Listen("tcp", inboxAddress)
	require.NoError(t, err)
	in := &inbox{count: map[string]int{}}
	server := &http.Server{Handler: in}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // until Close
	}()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return in
}

// ServeHTTP takes a notification.
func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var notification struct {
		Alerts []alert `json:"alerts"`
	}
	if err := json.NewDecoder(r.Body).Decode(&notification); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, a := range notification.Alerts {
		if a.Labels["alertname"] == "GatewayAlarm" {
			in.count[a.Labels["gatewayID"]]++
		}
	}
}

// has returns an error unless exactly these gateways were notified of, once each.
func (in *inbox) has(gateways ...string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if want := once(gateways); !maps.Equal(want, in.count) {
		return fmt.Errorf("notifications by gateway: %v, want %v", in.count, want)
	}
	return nil
}

func once(gateways []string) map[string]int {
	count := map[string]int{}
	for _, g := range gateways {
		count[g]++
	}
	return count
}

// alertmanagerHas returns an error unless an Alertmanager has the alerts of exactly these gateways, once each.
func alertmanagerHas(ctx context.Context, address string, gateways ...string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/api/v2/alerts?filter=alertname%3DGatewayAlarm", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var alerts []alert
	if err := json.NewDecoder(resp.Body).Decode(&alerts); err != nil {
		return fmt.Errorf("read Alertmanager's alerts: %w", err)
	}
	var has []string
	for _, a := range alerts {
		has = append(has, a.Labels["gatewayID"])
	}
	if !maps.Equal(once(gateways), once(has)) {
		return fmt.Errorf("Alertmanager has %v, want %q", alerts, gateways)
	}
	return nil
}

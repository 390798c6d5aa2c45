package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rule is an alert, and for which gateways it must be firing from the first time to the last. None
// other may fire, but for those that is said of elsewhere.
type rule struct {
	name, expr string
	always     []string // gateways, "" for an alert without; empty: it never fires
}

// alertRules are of a fleet of so many gateways.
func alertRules(gateways int) []rule {
	requests := 0
	var hot []string
	for i := range gateways {
		requests += moversRate + i
		if i < moversHot {
			hot = append(hot, fmt.Sprintf("moves-%02d", i))
		}
	}
	return []rule{
		{"GatewayMissing", `group by (gatewayID) (last_over_time(gw_info[1m])) unless on (gatewayID) gw_info`, nil},
		{"RateTooLow", fmt.Sprintf(`sum by (gatewayID) (rate(gw_requests_total{code="200"}[15s])) < %d`, moversRate-1), nil},
		{"FleetTooSmall", fmt.Sprintf(`count(gw_info) < %d`, gateways-1), nil},
		{"FleetTooLarge", fmt.Sprintf(`count(gw_info) > %d`, gateways), nil},
		{"FleetRateTooHigh", fmt.Sprintf(`sum(rate(gw_requests_total{code="200"}[15s])) > %d`, requests+moversRate), nil},
		{"FleetBusy", fmt.Sprintf(`sum(rate(gw_requests_total{code="200"}[15s])) > %d`, requests-2*(moversRate+gateways)), []string{""}},
		{"GatewayHot", `gw_temperature > 80`, hot},
	}
}

// alerts is what fires, as the asker sees it each second.
type alerts struct {
	rules []rule

	mu      sync.Mutex
	firing  map[string]bool // by rule and gateway
	seen    map[string]bool // rules that were evaluated
	changes []change
}

// change is an alert that fired or resolved.
type change struct {
	alert string // and its gateway
	at    time.Time
	fires bool
}

func (c change) String() string {
	return fmt.Sprintf("%s fires=%v at %s", c.alert, c.fires, clock(c.at))
}

func newAlerts(rules []rule) *alerts {
	return &alerts{rules: rules, firing: map[string]bool{}, seen: map[string]bool{}}
}

// look evaluates a rule as a ruler does: where there is no answer all stays as it was.
func (s *alerts) look(ctx context.Context, a *asker, r rule, at time.Time) {
	v, err := a.hubquery.VectorAt(ctx, r.expr, at)
	if err != nil {
		if ctx.Err() == nil {
			a.mu.Lock()
			a.refused = append(a.refused, refusal{time.Now(), err})
			a.mu.Unlock()
		}
		return
	}
	now := map[string]bool{}
	for _, sample := range v {
		now[r.name+"/"+string(sample.Metric["gatewayID"])] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	begins := !s.seen[r.name]
	s.seen[r.name] = true
	for alert := range now {
		if !s.firing[alert] && !begins {
			s.changes = append(s.changes, change{alert, at, true})
		}
		s.firing[alert] = true
	}
	for alert := range s.firing {
		if strings.HasPrefix(alert, r.name+"/") && !now[alert] {
			s.changes = append(s.changes, change{alert, at, false})
			delete(s.firing, alert)
		}
	}
}

// take returns the changes so far, and forgets them.
func (s *alerts) take() []change {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.changes
	s.changes = nil
	return all
}

// rulesFile is the rules as a ruler reads them.
func rulesFile(rules []rule) string {
	var b strings.Builder
	b.WriteString("groups:\n- name: moves\n  interval: 1s\n  partial_response_strategy: abort\n  rules:\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "  - alert: %s\n    expr: %q\n", r.name, r.expr)
	}
	return b.String()
}

// notified is an Alertmanager that keeps all that it is told.
type notified struct {
	*httptest.Server

	mu       sync.Mutex
	told     int
	begins   map[string][]time.Time // of each alert and gateway, all that were said
	resolved []string
}

func startNotified(t *testing.T) *notified {
	n := &notified{begins: map[string][]time.Time{}}
	n.Server = httptest.NewServer(n)
	t.Cleanup(n.Close)
	return n
}

// ServeHTTP takes what a ruler sends to /api/v2/alerts.
func (n *notified) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var all []struct {
		Labels           map[string]string
		StartsAt, EndsAt time.Time
	}
	if err := json.NewDecoder(r.Body).Decode(&all); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told++
	for _, a := range all {
		alert := a.Labels["alertname"] + "/" + a.Labels["gatewayID"]
		if !slices.ContainsFunc(n.begins[alert], a.StartsAt.Equal) {
			n.begins[alert] = append(n.begins[alert], a.StartsAt)
		}
		// What is told late on a busy machine has ended, too, by its time, but is told again. One that fires anew
		// has another beginning.
		n.resolved = slices.DeleteFunc(n.resolved, func(r string) bool { return r == alert })
		if !a.EndsAt.IsZero() && a.EndsAt.Before(now) {
			n.resolved = append(n.resolved, alert)
		}
	}
}

// firing returns what was ever told to fire.
func (n *notified) firing() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for alert := range n.begins {
		all = append(all, alert)
	}
	slices.Sort(all)
	return all
}

// require requires that these alerts fired once and for all, some others once, and none else.
func (n *notified) require(t *testing.T, always, once []string) {
	t.Helper()
	all := slices.Concat(always, once)
	slices.Sort(all)
	require.Equal(t, all, n.firing(), "what the ruler said fires")
	n.mu.Lock()
	defer n.mu.Unlock()
	for alert, begins := range n.begins {
		require.Len(t, begins, 1, "%s fired more than once", alert)
	}
	for _, alert := range n.resolved {
		require.Contains(t, once, alert, "it resolved")
	}
	t.Logf("the ruler told %d times of %d alerts, which fired once and did not resolve: %s", n.told, len(all), strings.Join(all, ", "))
}

package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// thanosProgram returns the path of the real Thanos, and builds it if it is missing.
func thanosProgram(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the real Thanos")
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "./e2e/cmd/realbin")
	cmd.Dir = "../.." // the root of the repository
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "find the real programs: %s", &stderr)
	return filepath.Join(strings.TrimSpace(string(out)), "thanos")
}

// freeAddress returns an address on which nobody listens. Its port is below those that kernels
// give to sockets that ask for none, so that no connection takes it in the meantime.
func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		address := "127.0.0.1:" + strconv.Itoa(15000+rand.IntN(10000))
		if l, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, l.Close())
			return address
		}
	}
}

// pod is a ruler and its keeper, with what outlives them.
type pod struct {
	t       *testing.T
	dir     string
	program string
	address string // of the ruler
	keeper  *process
	page    string // of the keeper
	ruler   *process
}

func (p *pod) keeperArgs(more ...string) []string {
	return append([]string{
		"--rules=" + p.dir + "/chart/*.yaml", "--rules=" + p.dir + "/volume/*.yaml", "--to=" + p.dir + "/to",
		"--reload-url=http://" + p.address + "/-/reload", "--interval=50ms", "--web.listen-address=127.0.0.1:0",
	}, more...)
}

// start runs the init container, then the ruler and the keeper.
func (p *pod) start() {
	p.t.Helper()
	out, err := rulekeeper(p.t.Context(), p.keeperArgs("--once")...).CombinedOutput()
	require.NoError(p.t, err, "%s", out)
	p.ruler = begin(p.t, exec.CommandContext(p.t.Context(), p.program, "rule", "--data-dir="+p.dir+"/data", "--rule-file="+p.dir+"/to/current/*.yaml",
		"--eval-interval=1s", "--query=127.0.0.1:1", `--label=ruler="r0"`, "--http-address="+p.address, "--grpc-address="+freeAddress(p.t)))
	p.keeper = begin(p.t, rulekeeper(p.t.Context(), p.keeperArgs()...))
	p.page = "http://" + p.keeper.await(`msg="Listening on" address=(\S+)`)
}

func (p *pod) stop() {
	p.t.Helper()
	assert.NoError(p.t, p.keeper.stop())
	assert.NoError(p.t, p.ruler.stop())
}

// rules returns the groups and rules that the ruler has, each with its strategy, and
// nothing while it is not up.
func (p *pod) rules() []string {
	r, err := http.Get("http://" + p.address + "/api/v1/rules")
	if err != nil {
		return nil
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer r.Body.Close()
	var answer struct {
		Data struct {
			Groups []struct {
				Name     string
				Strategy string `json:"partialResponseStrategy"`
				Rules    []struct{ Name string }
			}
		}
	}
	if json.NewDecoder(r.Body).Decode(&answer) != nil {
		return nil
	}
	var found []string
	for _, g := range answer.Data.Groups {
		for _, rule := range g.Rules {
			found = append(found, strings.Join([]string{g.Name, rule.Name, g.Strategy}, " "))
		}
	}
	slices.Sort(found)
	return found
}

// have waits until the ruler has these rules, and the keeper says whether they are all there are.
func (p *pod) have(good string, rules ...string) {
	p.t.Helper()
	var got []string
	require.Eventually(p.t, func() bool {
		got = p.rules()
		return slices.Equal(rules, got) && strings.Contains(get(p.t, p.page+"/metrics"), "\nhubring_rules_last_load_successful "+good+"\n")
	}, patience, 20*time.Millisecond, "%q", &got)
}

const (
	ofChart  = "groups:\n- name: chart\n  rules:\n  - {alert: Up, expr: up == 0, labels: {severity: yes}}\n"
	ofVolume = "groups:\n- name: site\n  partial_response_strategy: abort\n  rules:\n  - {record: a, expr: up}\n"
)

func TestTheRulerNeverLoadsBadRules(t *testing.T) {
	p := &pod{t: t, dir: t.TempDir(), program: thanosProgram(t), address: freeAddress(t)}
	put(t, ofChart, p.dir, "chart", "rules.yaml")
	put(t, ofVolume, p.dir, "volume", "rules.yaml")
	p.start()
	p.have("1", "chart Up WARN", "site a ABORT")

	for text, want := range map[string]string{
		"groups: [": "rules.yaml:1: ",
		strings.Replace(ofVolume, "up}", "sum(}", 1):      "rules.yaml:5: ",
		ofVolume + "- name: site\n":                       `rules.yaml:6: there is another group "site"`,
		strings.Replace(ofVolume, "abort", "perhaps", 1):  "rules.yaml:2: ",
		strings.Replace(ofVolume, "record", "record_", 1): "field record_ not found",
		strings.Replace(ofVolume, "up}", "up, for: 1", 1): "rules.yaml:",
	} {
		put(t, text, p.dir, "volume", "rules.yaml")
		p.have("0", "chart Up WARN", "site a ABORT")
		assert.Contains(t, get(t, p.page), want)
		put(t, strings.Replace(ofVolume, "record: a", "record: mended", 1), p.dir, "volume", "rules.yaml")
		p.have("1", "chart Up WARN", "site mended ABORT")
		put(t, ofVolume, p.dir, "volume", "rules.yaml")
		p.have("1", "chart Up WARN", "site a ABORT")
	}

	// What is published is good to Thanos' own eyes.
	out, err := exec.CommandContext(t.Context(), p.program, "tools", "rules-check", "--rules="+p.dir+"/to/current/*.yaml").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, 2, strings.Count(string(out), "SUCCESS"), "%s", out)

	// A restart while the sources are bad starts with the set from before.
	put(t, "groups: [", p.dir, "volume", "rules.yaml")
	p.have("0", "chart Up WARN", "site a ABORT")
	p.stop()
	p.start()
	p.have("0", "chart Up WARN", "site a ABORT")
	put(t, ofVolume, p.dir, "volume", "rules.yaml")
	p.have("1", "chart Up WARN", "site a ABORT")
	p.stop()
}

// A ruler that refuses what its keeper thought good has its old rules again.
func TestTheRulersRefusalIsTakenBack(t *testing.T) {
	p := &pod{t: t, dir: t.TempDir(), program: thanosProgram(t), address: freeAddress(t)}
	put(t, ofChart, p.dir, "chart", "rules.yaml")
	put(t, "groups: []", p.dir, "volume", "rules.yaml")
	p.start()
	p.have("1", "chart Up WARN")
	// This ruler, unlike its keeper, knows no experimental functions.
	require.NoError(t, p.keeper.stop())
	p.keeper = begin(t, rulekeeper(t.Context(), p.keeperArgs("--enable-feature=promql-experimental-functions")...))
	p.page = "http://" + p.keeper.await(`msg="Listening on" address=(\S+)`)
	p.have("1", "chart Up WARN")
	put(t, strings.Replace(ofVolume, "expr: up", "expr: 'sort_by_label(up, \"a\")'", 1), p.dir, "volume", "rules.yaml")
	p.keeper.await("the ruler has the rules from before again")
	p.have("0", "chart Up WARN")
	assert.Contains(t, get(t, p.page), "the ruler refused the rules: 500 Internal Server Error")
	assert.Contains(t, get(t, "http://"+p.address+"/metrics"), "\nthanos_rule_config_last_reload_successful 1\n")
	put(t, ofVolume, p.dir, "volume", "rules.yaml")
	p.have("1", "chart Up WARN", "site a ABORT")
	p.stop()
}

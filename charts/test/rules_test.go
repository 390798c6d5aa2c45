package charttest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// The built-in alerts fire when their own unit tests say so, and there is a test of each.
func TestBuiltInAlertsFire(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(chartDir, "files", "*alerts.yaml"))
	require.NoError(t, err)
	require.Len(t, files, 4)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			alerts, err := os.ReadFile(file)
			require.NoError(t, err)
			unit := strings.TrimSuffix(file, ".yaml") + "_test.yaml"
			tests, err := os.ReadFile(unit)
			require.NoError(t, err)
			names := regexp.MustCompile(`(?m)^ *- alert: (\w+)$`).FindAllSubmatch(alerts, -1)
			require.NotEmpty(t, names)
			for _, name := range names {
				assert.Contains(t, string(tests), "alertname: "+string(name[1]), "no test of the alert")
			}
			mustRun(t, filepath.Join(needsPrograms(t), "promtool"), "test", "rules", unit)
		})
	}
}

// The rule keeper takes rules from each of their places, before the ruler starts and beside it, and the ruler
// has what it publishes, which is on the ruler's own volume.
func TestRulerHasWhatTheRuleKeeperPublishes(t *testing.T) {
	inEveryGlobalScenario(t, func(t *testing.T, r *release) {
		p, ruler, args := r.component("rule")
		require.NotNil(t, ruler, "ruler")
		patterns := flagValues(args, "rule-file")
		require.Len(t, patterns, 1)
		require.NotEmpty(t, p.template.Spec.InitContainers)
		first, beside := p.template.Spec.InitContainers[0], p.container("rulekeeper")
		require.NotNil(t, beside)
		assert.Contains(t, first.Args, "--once")
		assert.NotContains(t, beside.Args, "--once")
		for _, c := range []corev1.Container{first, *beside} {
			keeper := p.commandLine(&c)
			to := flagValue(t, keeper, "to", "")
			assert.Equal(t, to+"/current/*.yaml", patterns[0], c.Name)
			assert.Equal(t, volumeAt(ruler, to), volumeAt(&c, to), "%s: what is mounted on %s", c.Name, to)
			assert.Equal(t, flagValues(p.commandLine(beside), "rules"), flagValues(keeper, "rules"), c.Name)
			for _, pattern := range flagValues(keeper, "rules") {
				assert.NotEmpty(t, volumeAt(&c, pattern), "%s: nothing is mounted for %s", c.Name, pattern)
			}
		}
		assert.Regexp(t, "^https?://localhost:10902/-/reload$", flagValue(t, beside.Args, "reload-url", ""))
		assert.True(t, hasPort(*ruler, intOrString("10902")))
	})
}

// A group that says nothing else is evaluated over the servers that answer.
func TestPartialResponseIsForTheRuleKeeper(t *testing.T) {
	for values, want := range map[string]string{`{}`: "warn", `{thanos: {ruler: {partialResponse: abort}}}`: "abort", `{thanos: {ruler: {partialResponse: keep}}}`: "keep"} {
		p, _, _ := mustRender(t, fiveShards, values).component("rule")
		for _, c := range slices.Concat(p.template.Spec.InitContainers, []corev1.Container{*p.container("rulekeeper")}) {
			assert.Equal(t, []string{want}, flagValues(c.Args, "partial-response"), c.Name)
		}
	}
	_, err := render(releaseName, fiveShards, `{thanos: {ruler: {partialResponse: ignore}}}`)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "partialResponse")
}

// What rules may be is said to the rule keeper in the same way before the ruler starts and beside it.
func TestRuleKeepersFlags(t *testing.T) {
	p, _, _ := mustRender(t, fiveShards, `{thanos: {ruler: {rulekeeper: {extraArgs: [--limit.files=5]}}}}`).component("rule")
	for _, c := range slices.Concat(p.template.Spec.InitContainers, []corev1.Container{*p.container("rulekeeper")}) {
		assert.Equal(t, "--limit.files=5", c.Args[len(c.Args)-1], c.Name)
	}
}

// New rules restart no ruler: the rule keeper has it load them.
func TestRulesRestartNobody(t *testing.T) {
	before, after := mustRender(t, fiveShards), mustRender(t, fiveShards, ownRule)
	others := byKey(after)
	for _, w := range before.workloads() {
		assert.Equal(t, w.object, others[keyOf(w)], keyOf(w))
	}
}

// How many servers there should be counts both of a pair, and those that are retired.
func TestExpectedServers(t *testing.T) {
	for values, want := range map[string]string{
		`{create_thanos: true}`: "vector(1)",
		`{create_thanos: true, prometheus_servers_count: 3, prometheus_replicas: 2}`:                           "vector(6)",
		`{create_thanos: true, prometheus_servers_count: 3, prometheus: {retired: 2}}`:                         "vector(5)",
		`{create_thanos: true, prometheus_servers_count: 3, prometheus_replicas: 2, prometheus: {retired: 1}}`: "vector(8)",
	} {
		r := mustRender(t, values)
		rules := ruleGroups(t, r.rulersFiles(t))["hubring-expected"].([]any)
		require.Len(t, rules, 2)
		assert.Equal(t, map[string]any{"record": "hubring:prometheus_servers:expected", "expr": want}, rules[0])
		assert.True(t, strings.HasPrefix(rules[1].(map[string]any)["expr"].(string), want+" - "), rules[1])
		assert.Len(t, r.servers(t), len(r.pods("prometheus")))
		assert.Equal(t, want, "vector("+strconv.Itoa(len(r.servers(t)))+")", values)
	}
}

// A gateway's own up is told by the gateways' label, whatever its name.
func TestGatewaysAreNoServers(t *testing.T) {
	for label, written := range map[string]string{"site": `, site=""`, "site.id": `, "site.id"=""`} {
		text := texts(t, mustRender(t, fiveShards, `{edgehub: {gatewayLabel: `+label+`}}`).rulersFiles(t))
		assert.Contains(t, text, written)
		assert.NotContains(t, text, `gatewayID=""`)
	}
}

// A server that is scraped seldom is not behind because of that.
func TestServersMayBeBehindByScrapes(t *testing.T) {
	for interval, want := range map[string]string{"15s": "_lag_seconds) > 120\n", "2m": "_lag_seconds) > 480\n"} {
		r := mustRender(t, `{prometheus: {gatewaysInterval: 2m, scrapeInterval: `+interval+`}}`)
		assert.Contains(t, texts(t, r.servers(t)[0].rules(t, r)), want)
	}
}

// The same groups serve a ruler and a single server, which does not start with a strategy of Thanos'.
func TestStrategiesAreForTheRuler(t *testing.T) {
	const own = `{rules: {groups: [{name: fleet, partial_response_strategy: abort, rules: [{record: a, expr: b}]}]}}`
	single, thanos := mustRender(t, own), mustRender(t, own, fiveShards)
	text := texts(t, single.servers(t)[0].rules(t, single))
	assert.Contains(t, text, "name: fleet")
	assert.NotContains(t, text, "partial_response_strategy")
	assert.Contains(t, texts(t, thanos.rulersFiles(t)), "partial_response_strategy: abort")
}

// texts returns what is in files.
func texts(t *testing.T, paths []string) string {
	t.Helper()
	var all strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}

// A ConfigMap may have any name: its files do not get in the way of the chart's own, nor of the volume's.
func TestRuleConfigMapsHaveAnyName(t *testing.T) {
	names := `{rules: {configMaps: [chart, volume], volume: {persistentVolumeClaim: {claimName: rules}}}}`
	for _, values := range []string{`{}`, fiveShards} {
		r := mustRender(t, values, names)
		for _, w := range r.workloads() {
			references{t: t, what: keyOf(w), r: r, values: names}.volumes(w)
		}
	}
	assert.Len(t, mustRender(t, names).servers(t)[0].RuleFiles, 4)
}

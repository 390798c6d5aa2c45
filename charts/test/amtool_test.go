package charttest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inEveryAlertmanagerScenario runs a check for an Alertmanager of each release that has
// one: those of the ci folder, and the one that notifies as the default does.
func inEveryAlertmanagerScenario(t *testing.T, check func(*testing.T, *release, pod)) {
	checked := 0
	for _, s := range append(scenarios(t), scenario{"default notifications", ownAlertmanager}) {
		r := mustRender(t, s.values)
		if pods := r.pods("alertmanager"); len(pods) > 0 {
			checked++
			t.Run(s.name, func(t *testing.T) { check(t, r, pods[0]) })
		}
	}
	require.Greater(t, checked, 1, "scenarios with an Alertmanager")
}

const ownAlertmanager = `{alertmanager: {enabled: true}}`

// Alertmanager's tool accepts the file that its command line names.
func TestAmtoolAcceptsEveryConfiguration(t *testing.T) {
	amtool := filepath.Join(needsClusterPrograms(t), "amtool")
	inEveryAlertmanagerScenario(t, func(t *testing.T, r *release, p pod) {
		assert.Contains(t, mustRun(t, amtool, "check-config", configurationOf(t, r, p)), "SUCCESS")
	})
}

// configurationOf returns the path of the file that an Alertmanager reads.
func configurationOf(t *testing.T, r *release, p pod) string {
	t.Helper()
	c := p.container("alertmanager")
	file := flagValue(t, p.commandLine(c), "config.file", "")
	require.NotEmpty(t, file)
	return filepath.Join(r.files(t, p, c), file)
}

// A configuration that is wrong must not pass, or the test above shows nothing.
func TestAmtoolRefusesABadConfiguration(t *testing.T) {
	amtool := filepath.Join(needsClusterPrograms(t), "amtool")
	r := mustRender(t, `{alertmanager: {enabled: true, config: {route: {receiver: somebody}}}}`)
	out, err := exec.CommandContext(t.Context(), amtool, "check-config", configurationOf(t, r, r.pods("alertmanager")[0])).CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "somebody")
}

// Alertmanager knows every flag that it is given. (It, too, reads the command line to its end
// before it obeys --help.)
func TestAlertmanagerKnowsItsFlags(t *testing.T) {
	alertmanager := filepath.Join(needsClusterPrograms(t), "alertmanager")
	inEveryAlertmanagerScenario(t, func(t *testing.T, _ *release, p pod) {
		mustRun(t, alertmanager, append(p.commandLine(p.container("alertmanager")), "--help")...)
	})
	out, err := exec.CommandContext(t.Context(), alertmanager, "--no-such-flag=1", "--help").CombinedOutput()
	require.Error(t, err, strings.TrimSpace(string(out)))
}

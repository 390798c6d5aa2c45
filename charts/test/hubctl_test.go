package charttest

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring/placement"
)

// hubsOf returns the hubs that hubctl's file names.
func (r *release) hubsOf(t *testing.T, p pod) []members.Hub {
	t.Helper()
	c := p.container("hubctl")
	file := members.File{Path: filepath.Join(r.files(t, p, c), flagValue(t, p.commandLine(c), "hubs.file", ""))}
	hubs, err := file.Hubs(t.Context())
	require.NoError(t, err)
	return hubs
}

// listed returns where hubctl asks the hubs which gateways they have.
func (r *release) listed(t *testing.T, p pod) []string {
	t.Helper()
	var all []string
	for _, h := range r.hubsOf(t, p) {
		host, port, err := net.SplitHostPort(h.Name)
		require.NoError(t, err)
		all = append(all, net.JoinHostPort(host, flagValue(t, p.commandLine(p.container("hubctl")), "hubs.list-port", port)))
	}
	return all
}

// Every hub is asked, where its lists are, and by the name that exporters know.
func TestPlacementAsksEveryHub(t *testing.T) {
	placed := 0
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		for _, p := range r.pods("hubctl") {
			placed++
			var names, doors []string
			for _, h := range r.hubs(t) {
				names = append(names, r.host(h.pod)+":9091")
				doors = append(doors, r.host(h.pod)+":"+map[string]string{"http": "9091", "http-scrape": "9092"}[h.door])
			}
			var asked []string
			for _, h := range r.hubsOf(t, p) {
				asked = append(asked, h.Name)
			}
			assert.Equal(t, names, asked)
			assert.Equal(t, doors, r.listed(t, p))
		}
	})
	assert.GreaterOrEqual(t, placed, 4, "scenarios with a placement")
}

// The values reach the command line; what is written is where controllers look.
func TestPlacementIsMadeAsTheExportersHaveIt(t *testing.T) {
	r := mustRender(t, `{placement: {enabled: true, schedule: 5 4 * * *, base: consistent, threshold: 70000000, maxAge: 2d, extraArgs: [--partial]}, edgehub: {gatewayLabel: gw}}`)
	p := r.pods("hubctl")[0]
	assert.Equal(t, []string{
		"place", "--hubs.file=/etc/hubring/hubs/hubs.yaml", "--hubs.list-port=9092", "--gateway.label=gw", "--placement=consistent",
		"--threshold=70000000", "--max-age=2d", "--partial", "configmap:edge-hubring-placement",
	}, p.commandLine(p.container("hubctl")))
	job := find[*batchv1.CronJob](r, "edge-hubring-placement")
	require.NotNil(t, job)
	assert.Equal(t, "5 4 * * *", job.Spec.Schedule)
	assert.Equal(t, batchv1.ForbidConcurrent, job.Spec.ConcurrencyPolicy)
	assert.Equal(t, corev1.RestartPolicyNever, p.template.Spec.RestartPolicy)
	assert.NotNil(t, job.Spec.JobTemplate.Spec.ActiveDeadlineSeconds, "a run that hangs would keep all others from starting")
	assert.Contains(t, r.notes, "ConfigMap edge-hubring-placement ")
}

// The pod that places may read and write the placement, and nobody may do anything else.
func TestPlacementHasRightsToItsConfigMapOnly(t *testing.T) {
	r := mustRender(t, `{placement: {enabled: true}}`)
	roles, bindings := every[*rbacv1.Role](r), every[*rbacv1.RoleBinding](r)
	require.Len(t, roles, 1)
	assert.Equal(t, []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"edge-hubring-placement"}, Verbs: []string{"get", "update"}}}, roles[0].Rules)
	require.Len(t, bindings, 1)
	assert.Equal(t, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: roles[0].Name}, bindings[0].RoleRef)
	account := r.pods("hubctl")[0].template.Spec.ServiceAccountName
	assert.Equal(t, []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: namespace}}, bindings[0].Subjects)
	for _, w := range r.workloads() {
		assert.Equal(t, w.container("hubctl") != nil, w.template.Spec.ServiceAccountName == account, keyOf(w))
	}
	assert.Equal(t, new(bool), find[*corev1.ServiceAccount](r, account).AutomountServiceAccountToken)

	// By default there is nothing of it.
	for _, o := range mustRender(t).objects {
		assert.NotContains(t, o.GetName(), "placement", keyOf(o))
		assert.NotContains(t, kindOf(o), "Role")
	}
}

// assertPlaces has hubctl ask the cluster's hubs, with the release's own command line but for what it writes.
func (c *cluster) assertPlaces(t *testing.T, hubs int) {
	t.Helper()
	p := c.r.pods("hubctl")[0]
	spec := p.container("hubctl")
	c.layOut(p, spec)
	args := c.args(p, spec)
	for i, arg := range args {
		if name, port, is := strings.Cut(arg, "="); is && name == "--hubs.list-port" {
			require.Equal(t, "9092", port)
			_, port, err := net.SplitHostPort(c.address(c.r.hubs(t)[0].name, 9092))
			require.NoError(t, err)
			args[i] = name + "=" + port
		}
	}
	out := filepath.Join(t.TempDir(), "placement.json")
	at := slices.Index(args, "configmap:"+p.GetName())
	require.Equal(t, len(args)-1, at)
	args[at] = out
	said := mustRun(t, pathOf(t, c.programs, "hubctl"), args...)
	assert.Contains(t, said, "\nPlacement 1 is written: ")
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	placed, err := placement.Parse(text)
	require.NoError(t, err)
	assert.Len(t, placed.Hubs, hubs)
	assert.Positive(t, placed.Keys)
}

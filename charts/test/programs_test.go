package charttest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

const (
	checkout = "../.." // the root of the repository
	patience = time.Minute
)

// ownFolder holds what is built for these tests.
var ownFolder string

func TestMain(m *testing.M) {
	code := func() int {
		dir, err := os.MkdirTemp("", "charttest")
		if err != nil {
			fmt.Fprintln(os.Stderr, "charttest:", err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		ownFolder = dir
		code := m.Run()
		if err := stopServers(); err != nil {
			fmt.Fprintln(os.Stderr, "charttest:", err)
			return 1
		}
		return code
	}()
	os.Exit(code)
}

// realPrograms returns the folder of the suite's real programs, and builds what is missing.
var realPrograms = sync.OnceValues(func() (string, error) { return programsFor() })

// clusterPrograms returns the folder of the real programs around the chart, and builds what is missing.
var clusterPrograms = sync.OnceValues(func() (string, error) { return programsFor("cluster") })

// victoriaMetrics returns the path of the VictoriaMetrics that the chart names, and builds it if it is missing.
var victoriaMetrics = sync.OnceValues(func() (string, error) {
	dir, err := programsFor("queries")
	return filepath.Join(dir, "victoria-metrics-1.151"), err
})

// programsFor returns the folder of a set of real programs, and builds what is missing.
func programsFor(set ...string) (string, error) {
	cmd := exec.Command("go", append([]string{"run", "./e2e/cmd/realbin"}, set...)...)
	cmd.Dir = checkout
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find the real programs: %w: %s", err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}

// edgehubProgram returns the path of the hub, built from the checkout.
var edgehubProgram = builtOnce("edgehub")

// hubctlProgram returns the path of hubctl, built from the checkout.
var hubctlProgram = builtOnce("hubctl")

// builtOnce returns a function that builds a program of the checkout and returns its path.
func builtOnce(name string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		program := filepath.Join(ownFolder, name)
		cmd := exec.Command("go", "build", "-o", program, "./cmd/"+name)
		cmd.Dir = checkout
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w: %s", name, err, out)
		}
		return program, nil
	})
}

// needsPrograms leaves a test out where only what needs none is to run.
func needsPrograms(t *testing.T) string {
	t.Helper()
	return needs(t, realPrograms)
}

// needsClusterPrograms is needsPrograms for those around the chart.
func needsClusterPrograms(t *testing.T) string {
	t.Helper()
	return needs(t, clusterPrograms)
}

// needs returns what is built or started once, or leaves the test out.
func needs[T any](t *testing.T, once func() (T, error)) T {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the real programs")
	}
	it, err := once()
	require.NoError(t, err)
	return it
}

// buildCommand builds a command of the repository as its image has it: by its own module, and with nothing but itself.
func buildCommand(name string) (string, error) {
	program := filepath.Join(ownFolder, "images", name)
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, ".")
	cmd.Dir = path.Join(checkout, "cmd", name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", name, err, out)
	}
	return program, nil
}

// mustRun runs a program and returns what it says.
func mustRun(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	require.NoError(t, err, "%s %s: %s", filepath.Base(program), strings.Join(args, " "), out)
	return string(out)
}

func TestPromtoolAcceptsEveryConfiguration(t *testing.T) {
	promtool := filepath.Join(needsPrograms(t), "promtool")
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		newKeys(t).addTo(r, nil) // promtool looks whether they are there
		args := []string{"check", "config", "--lint=all", "--lint-fatal"}
		servers := r.servers(t)
		if servers[0].victoria {
			return // see TestVictoriaMetricsAcceptsEveryConfiguration
		}
		for _, s := range servers {
			s.rules(t, r) // a pattern without files is no error to promtool
			file := filepath.Join(t.TempDir(), s.name+".yml")
			text := relocated(s.text, s.root, s.server())
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			args = append(args, file)
		}
		out := mustRun(t, promtool, args...)
		assert.Equal(t, len(servers), strings.Count(out, "is valid prometheus config file syntax"), "%s", out)
	})
}

func TestProgramsAcceptTheRulersFiles(t *testing.T) {
	programs := needsPrograms(t)
	inEveryGlobalScenario(t, func(t *testing.T, r *release) {
		files := r.rulersFiles(t)
		mustRun(t, filepath.Join(programs, "promtool"), append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, files...)...)
		for _, file := range files {
			mustRun(t, filepath.Join(programs, "thanos"), "tools", "rules-check", "--rules="+file)
		}
	})
}

// A rule that does not parse must not pass, or the two tests above show nothing.
func TestPromtoolRefusesABadRule(t *testing.T) {
	promtool := filepath.Join(needsPrograms(t), "promtool")
	r := mustRender(t, strings.Replace(ownRule, "sum(", "sum((", 1))
	s := r.servers(t)[0]
	files := s.rules(t, r)
	require.NotEmpty(t, files)
	out, err := exec.CommandContext(t.Context(), promtool, append([]string{"check", "rules"}, files...)...).CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "could not parse expression")
}

// Prometheus, Thanos, hubquery, hubctl and the rule keeper know every flag that they are given. (They read the command line
// to its end before they obey --help.)
func TestProgramsKnowTheirFlags(t *testing.T) {
	programs := needsPrograms(t)
	var asked []string
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		for _, w := range r.workloads() {
			p := pod{w.GetName() + "-0", w}
			for _, c := range w.containers() {
				program := programOf(c)
				if !slices.Contains([]string{"prometheus", "thanos", "rulekeeper", "hubquery", "hubctl"}, program) {
					continue
				}
				args := append(p.commandLine(&c), "--help")
				if key := program + strings.Join(args, " "); !slices.Contains(asked, key) {
					asked = append(asked, key)
					mustRun(t, pathOf(t, programs, program), args...)
				}
			}
		}
	})
	for _, args := range [][]string{{"prometheus"}, {"thanos", "query"}, {"hubctl", "place"}} {
		args = append(args, "--no-such-flag=1", "--help")
		_, err := exec.CommandContext(t.Context(), pathOf(t, programs, args[0]), args[1:]...).CombinedOutput()
		require.Error(t, err, "%s obeys --help before it reads the command line", args[0])
	}
}

// pathOf returns where a program is: among the real ones, or built from the checkout.
func pathOf(t *testing.T, programs, program string) string {
	t.Helper()
	built := map[string]func() (string, error){"edgehub": edgehubProgram, "rulekeeper": rulekeeperProgram, "hubquery": hubqueryProgram, "hubctl": hubctlProgram}[program]
	switch {
	case built != nil:
		path, err := built()
		require.NoError(t, err)
		return path
	case program == "victoria-metrics":
		return needs(t, victoriaMetrics)
	case program == "alertmanager":
		return filepath.Join(needsClusterPrograms(t), program)
	default:
		return filepath.Join(programs, program)
	}
}

// programOf returns the name of the program in a container's image.
func programOf(c corev1.Container) string {
	image, _, _ := strings.Cut(c.Image, "@")
	name, _, _ := strings.Cut(path.Base(image), ":")
	return name
}

// A hub starts with each command line, is ready as its probes see it, and stops when told.
func TestHubStartsWithItsFlags(t *testing.T) {
	if testing.Short() {
		t.Skip("builds edgehub")
	}
	keys := newKeys(t)
	tried := map[string]bool{}
	inEveryScenario(t, func(t *testing.T, s scenario, r *release) {
		web := keys.webConfig(t, s.values)
		keys.addTo(r, web)
		c := newCluster(t, r)
		for _, h := range r.hubs(t) {
			key := fmt.Sprint(web, h.args)
			if tried[key] {
				continue
			}
			tried[key] = true
			started := c.start(h.name, "edgehub")
			c.assertProbed(t, h.pod, h.container("edgehub"))
			require.NoError(t, started.cmd.Process.Signal(syscall.SIGTERM))
			require.NoError(t, started.cmd.Wait(), "edgehub %q", started.cmd.Args)
		}
	})
}

// startHub runs a hub with those arguments, on free ports of the loopback instead of all
// interfaces, and stops it after the use.
func startHub(t *testing.T, args []string, use func(push, scrape string)) {
	t.Helper()
	program, err := edgehubProgram()
	require.NoError(t, err)
	push, scrape := freeAddress(t), freeAddress(t)
	args = slices.Clone(args)
	for flag, address := range map[string]string{"--web.listen-address=:9091": push, "--scrape.listen-address=:9092": scrape} {
		at := slices.Index(args, flag)
		require.GreaterOrEqual(t, at, 0, "%s in %q", flag, args)
		name, _, _ := strings.Cut(flag, "=")
		args[at] = name + "=" + address
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Kill() }
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	s := &process{"edgehub", cmd, log}
	defer s.end(t)

	for _, address := range []string{push, scrape} {
		await(t, "the hub is ready on "+address, func() error {
			_, err := get(ctx, "http://"+address+"/-/ready")
			return err
		})
	}
	use(push, scrape)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err != nil { // it could not hand over what it had
		said, _ := os.ReadFile(log.Name())
		require.NoError(t, err, "edgehub %q said:\n%s", args, said)
	}
}

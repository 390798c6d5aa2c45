package charttest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

const (
	chartDir    = "../hubring"
	releaseName = "edge"
	namespace   = "metrics"
)

// foreign are the kinds whose types are not Kubernetes' own. They are only read as
// YAML without duplicate keys.
var foreign = []string{"ServiceMonitor", "PodMonitor", "PrometheusRule"}

// strict decodes one manifest and refuses fields that its type does not have.
var strict = serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, scheme.Scheme, scheme.Scheme,
	serializer.SerializerOptions{Strict: true})

var loadChart = sync.OnceValues(func() (*chart.Chart, error) { return loader.Load(chartDir) })

// render renders the chart for a release, and returns what Helm would refuse with.
// values are YAML, later ones over earlier ones.
func render(name string, values ...string) (*release, error) {
	return renderWith(engine.Engine{}, name, values...)
}

func renderWith(e engine.Engine, name string, values ...string) (*release, error) {
	loaded, err := loadChart()
	if err != nil {
		return nil, fmt.Errorf("load the chart: %w", err)
	}
	top, err := renderValues(loaded, name, values)
	if err != nil {
		return nil, err
	}
	files, err := e.Render(loaded, top)
	if err != nil {
		return nil, err
	}
	r, err := decode(name, files)
	if err != nil {
		return nil, err
	}
	all, err := top.Table("Values")
	if err != nil {
		return nil, fmt.Errorf("read the values: %w", err)
	}
	r.domain, _ = all["clusterDomain"].(string)
	return r, nil
}

// renderValues returns what the templates read; values that the schema refuses are an error.
func renderValues(loaded *chart.Chart, name string, values []string) (chartutil.Values, error) {
	merged := map[string]any{}
	for _, text := range values {
		var next map[string]any
		if err := yaml.UnmarshalStrict([]byte(text), &next); err != nil {
			return nil, fmt.Errorf("read the values: %w", err)
		}
		merged = chartutil.CoalesceTables(next, merged)
	}
	options := chartutil.ReleaseOptions{Name: name, Namespace: namespace, Revision: 1, IsInstall: true}
	return chartutil.ToRenderValues(loaded, merged, options, chartutil.DefaultCapabilities)
}

// decode reads the rendered files.
func decode(name string, files map[string]string) (*release, error) {
	r := &release{name: name}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		text := files[path]
		switch base := filepath.Base(path); {
		case base == "NOTES.txt":
			r.notes = text
		case strings.HasPrefix(base, "_"):
		default:
			for _, manifest := range manifestsOf(text) {
				if err := r.add(manifest); err != nil {
					return nil, fmt.Errorf("%s: %w in:\n%s", path, err, manifest)
				}
			}
		}
	}
	if len(r.objects) == 0 {
		return nil, errors.New("nothing was rendered")
	}
	return r, nil
}

// manifestsOf splits a file at its document marks, in order.
func manifestsOf(text string) []string {
	split := releaseutil.SplitManifests(text)
	names := slices.Collect(maps.Keys(split))
	slices.SortFunc(names, func(a, b string) int { // manifest-10 comes after manifest-9
		return 2*(len(a)-len(b)) + strings.Compare(a, b)
	})
	var manifests []string
	for _, name := range names {
		var content any // a file whose conditions are all false has comments only
		if err := yaml.Unmarshal([]byte(split[name]), &content); err == nil && content == nil {
			continue
		}
		manifests = append(manifests, split[name])
	}
	return manifests
}

// add decodes a manifest.
func (r *release) add(manifest string) error {
	r.manifests = append(r.manifests, manifest)
	asJSON, err := yaml.YAMLToJSONStrict([]byte(manifest))
	if err != nil {
		return fmt.Errorf("read it as YAML: %w", err)
	}
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(asJSON, &kind); err != nil {
		return fmt.Errorf("read its kind: %w", err)
	}
	if slices.Contains(foreign, kind.Kind) {
		r.foreign = append(r.foreign, manifest)
		return nil
	}
	decoded, _, err := strict.Decode(asJSON, nil, nil)
	if err != nil {
		return fmt.Errorf("decode it strictly: %w", err)
	}
	o, ok := decoded.(object)
	if !ok {
		return fmt.Errorf("%T has no metadata", decoded)
	}
	r.objects = append(r.objects, o)
	return nil
}

// object is a Kubernetes object of any kind.
type object interface {
	runtime.Object
	metav1.Object
}

func kindOf(o object) string { return o.GetObjectKind().GroupVersionKind().Kind }

// keyOf names an object within its release.
func keyOf(o object) string { return kindOf(o) + "/" + o.GetName() }

// join2 joins values in a text, as documents; those of the last are over the others.
func join2(values, more string) string { return values + "\n---\n" + more }

// rendered are releases by their values: most tests ask for the same.
var rendered sync.Map

// mustRender is render for values that must be fine. What it returns is the caller's own.
func mustRender(t *testing.T, values ...string) *release {
	t.Helper()
	key := strings.Join(values, "\n---\n")
	known, there := rendered.Load(key)
	if !there {
		r, err := render(releaseName, values...)
		require.NoError(t, err)
		known, _ = rendered.LoadOrStore(key, r)
	}
	return known.(*release).copy()
}

// copy returns a release that shares nothing that a test would change.
func (r *release) copy() *release {
	own := *r
	own.manifests, own.foreign = slices.Clone(r.manifests), slices.Clone(r.foreign)
	own.objects = nil
	for _, o := range r.objects {
		own.objects = append(own.objects, o.DeepCopyObject().(object))
	}
	return &own
}

// scenario is a file of the ci folder, or the defaults.
type scenario struct {
	name   string
	values string
}

// scenarios returns the defaults, and each file of the ci folder.
func scenarios(t *testing.T) []scenario {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(chartDir, "ci", "*-values.yaml"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(paths), 12, "scenarios in the ci folder")
	all := []scenario{{name: "defaults"}}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		all = append(all, scenario{strings.TrimSuffix(filepath.Base(path), "-values.yaml"), string(text)})
	}
	return all
}

// inEveryScenario runs a check for each scenario's release.
func inEveryScenario(t *testing.T, check func(*testing.T, scenario, *release)) {
	for _, s := range scenarios(t) {
		t.Run(s.name, func(t *testing.T) { check(t, s, mustRender(t, s.values)) })
	}
}

func TestRenderingIsDeterministic(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, s scenario, r *release) {
		again, err := render(releaseName, s.values)
		require.NoError(t, err)
		require.Equal(t, r.objects, again.objects)
		require.Equal(t, r.foreign, again.foreign)
		require.Equal(t, r.notes, again.notes)
	})
}

// A template that reads a value which is not in values.yaml has misspelled it, or nobody can set it.
func TestTemplatesReadValuesThatAreThere(t *testing.T) {
	for _, s := range scenarios(t) {
		t.Run(s.name, func(t *testing.T) {
			_, err := renderWith(engine.Engine{Strict: true}, releaseName, s.values)
			require.NoError(t, err)
		})
	}
}

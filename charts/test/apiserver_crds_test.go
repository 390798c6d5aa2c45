package charttest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// The Prometheus operator's definitions of its kinds come from its Go module.
const (
	operatorModule = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	operatorGroup  = "monitoring.coreos.com"
	operatorSum    = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
)

// operatorKinds are those that the chart has or may get.
var operatorKinds = []string{"servicemonitors", "podmonitors", "prometheusrules"}

// installOperatorKinds makes an API server know the Prometheus operator's kinds.
func installOperatorKinds(ctx context.Context, in dynamic.Interface) error {
	module, err := operatorFolder(ctx)
	if err != nil {
		return err
	}
	for _, kind := range operatorKinds {
		text, err := os.ReadFile(filepath.Join(module, "example", "prometheus-operator-crd", operatorGroup+"_"+kind+".yaml"))
		if err != nil {
			return fmt.Errorf("read the operator's kinds: %w", err)
		}
		var definition map[string]any
		if err := yaml.Unmarshal(text, &definition); err != nil {
			return fmt.Errorf("read the operator's kind %s: %w", kind, err)
		}
		if err := installKind(ctx, in, &unstructured.Unstructured{Object: definition}); err != nil {
			return fmt.Errorf("install the operator's kind %s: %w", kind, err)
		}
	}
	return nil
}

// operatorFolder returns where the operator's source lies in the module cache.
func operatorFolder(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", operatorModule)
	cmd.Dir = os.TempDir() // outside of every module
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var got struct{ Dir, Sum, Error string }
	if jsonErr := json.Unmarshal(out, &got); err == nil && jsonErr != nil {
		err = jsonErr
	}
	if err != nil {
		return "", fmt.Errorf("download %s: %w: %s%s", operatorModule, err, got.Error, stderr.Bytes())
	}
	if got.Sum != operatorSum {
		return "", fmt.Errorf("download %s: its checksum is %s, not %s", operatorModule, got.Sum, operatorSum)
	}
	return got.Dir, nil
}

// definitions are what defines further kinds.
var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// installKind returns when the server takes objects of the new kind.
func installKind(ctx context.Context, in dynamic.Interface, definition *unstructured.Unstructured) error {
	if _, err := in.Resource(definitions).Create(ctx, definition, metav1.CreateOptions{}); err != nil {
		return err
	}
	watcher, err := in.Resource(definitions).Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", definition.GetName()).String(),
	})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	for event := range watcher.ResultChan() {
		if o, ok := event.Object.(*unstructured.Unstructured); ok && event.Type != watch.Deleted && established(o) {
			return nil
		}
	}
	return fmt.Errorf("it was never established: %w", context.Cause(ctx))
}

func established(definition *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(definition.Object, "status", "conditions") // none yet
	for _, condition := range conditions {
		if c, ok := condition.(map[string]any); ok && c["type"] == "Established" && c["status"] == "True" {
			return true
		}
	}
	return false
}

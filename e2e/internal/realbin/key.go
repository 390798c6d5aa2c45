package realbin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// cacheKey hashes all that decides what the binaries are.
func (g group) cacheKey(ctx context.Context, checkout string) (string, error) {
	h := sha256.New()
	version := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH", "CGO_ENABLED")
	version.Dir = filepath.Join(toolsDir(checkout), g[0].module) // where go may choose another toolchain
	version.Env = buildEnv()
	out, err := version.Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its version: %w", err)
	}
	h.Write(out)
	for _, c := range g {
		fmt.Fprintf(h, "%s %q %v\n", c.module, c.buildArgs(""), c.names())
		names, err := sources(filepath.Join(toolsDir(checkout), c.module))
		if err != nil {
			return "", fmt.Errorf("find what %s is built from: %w", c.module, err)
		}
		for _, name := range names {
			content, err := os.ReadFile(filepath.Join(toolsDir(checkout), c.module, name))
			if err != nil {
				return "", fmt.Errorf("read what %s is built from: %w", c.module, err)
			}
			fmt.Fprintf(h, "%s %d\n", name, len(content))
			h.Write(content)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// sources are the files of a component's module: go.mod, go.sum, and where a program is
// put together here its source.
func sources(dir string) ([]string, error) {
	source, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	names := []string{"go.mod", "go.sum"}
	for _, path := range source {
		names = append(names, filepath.Base(path))
	}
	return names, nil
}

package realbin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// The programs that are Debian's, and of libraries a file that each has.
const (
	HAProxy  = "haproxy"
	Nginx    = "nginx"
	MakeExt4 = "mkfs.ext4"
	NPM      = "npm"
	CXX      = "g++"

	Python        = "/usr/bin/python3" // which has Debian's libraries, whatever else PATH has
	PythonClient  = "/usr/lib/python3/dist-packages/prometheus_client/__init__.py"
	Ruby          = "/usr/bin/ruby"
	RubyClient    = "/usr/lib/ruby/vendor_ruby/prometheus/client.rb"
	PrometheusCPP = "/usr/include/prometheus/gateway.h"
	Curl          = "/usr/bin/curl"
	Wget          = "/usr/bin/wget"
)

// packages are the packages that have them.
var packages = map[string][]string{
	HAProxy: {"haproxy"}, Nginx: {"nginx-light"}, MakeExt4: {"e2fsprogs"}, NPM: {"nodejs", "npm"}, CXX: {"g++"},
	Python: {"python3"}, PythonClient: {"python3-prometheus-client"}, Ruby: {"ruby"}, RubyClient: {"ruby-prometheus-client-mmap"},
	PrometheusCPP: {"prometheus-cpp-dev"}, Curl: {"curl"}, Wget: {"wget"},
}

// systemFolder is where Debian has such programs; not every user's PATH has it.
const systemFolder = "/usr/sbin"

// Packaged returns the path of a program or library that comes from Debian, whatever its version
// is, and has apt-get install the package where it is missing, which takes a root. It is
// safe for use by several processes at once.
func Packaged(ctx context.Context, program string, progress io.Writer) (string, error) {
	path, err := find(program)
	if !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	unlock, err := lock(ctx, filepath.Join(os.TempDir(), "hubring-apt.lock"), progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if path, err = find(program); !errors.Is(err, fs.ErrNotExist) {
		return path, err // another process installed it while this one waited
	}
	names := packages[program]
	fmt.Fprintf(progress, "realbin: installing Debian's %s\n", strings.Join(names, ", "))
	for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, names...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s is missing, and \"apt-get %s\" failed: %w; as root run: apt-get update && apt-get install %s\n%s",
				program, args[0], err, strings.Join(names, " "), tail(out, 2000))
		}
	}
	return find(program)
}

// AllPackaged does so with all of them, and returns where they are.
func AllPackaged(ctx context.Context, progress io.Writer) ([]string, error) {
	var paths []string
	for _, program := range slices.Sorted(maps.Keys(packages)) {
		path, err := Packaged(ctx, program, progress)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// find returns the path of an installed program or file, or fs.ErrNotExist.
func find(program string) (string, error) {
	if filepath.IsAbs(program) {
		if _, err := os.Stat(program); err != nil {
			return "", fmt.Errorf("look for %s: %w", program, err)
		}
		return program, nil
	}
	path, err := exec.LookPath(program)
	if err == nil {
		return path, nil
	}
	path = filepath.Join(systemFolder, program)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("look for %s in PATH and %s: %w", program, systemFolder, err)
	}
	return path, nil
}

package realbin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// The programs that are Debian's.
const (
	HAProxy  = "haproxy"
	Nginx    = "nginx"
	MakeExt4 = "mkfs.ext4"
)

// packages are the packages that have them.
var packages = map[string]string{HAProxy: "haproxy", Nginx: "nginx-light", MakeExt4: "e2fsprogs"}

// systemFolder is where Debian has such programs; not every user's PATH has it.
const systemFolder = "/usr/sbin"

// Packaged returns the path of a program that comes from Debian, whatever its version
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
	fmt.Fprintf(progress, "realbin: installing Debian's %s\n", packages[program])
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", packages[program]}} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s is missing, and \"apt-get %s\" failed: %w; install it by hand\n%s", program, args[0], err, tail(out, 2000))
		}
	}
	return find(program)
}

// find returns the path of an installed program, or fs.ErrNotExist.
func find(program string) (string, error) {
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

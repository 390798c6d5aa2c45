package spool

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// asNobody runs f with the rights of a user who owns nothing, if the test runs as root, whom no
// file system refuses.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread has the rights, and ends with the goroutine
		err := syscall.Setfsuid(65534)
		if err == nil {
			f()
		}
		done <- err
	}()
	require.NoError(t, <-done)
}

func TestDirectoryWithoutRights(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "spool")
	require.NoError(t, os.Mkdir(dir, 0o700))
	for _, mode := range []os.FileMode{0, 0o500} {
		for _, closed := range []string{parent, dir} {
			require.NoError(t, os.Chmod(closed, mode))
			var err error
			asNobody(t, func() { _, err = Open(Config{Dir: filepath.Join(dir, "sub"), MaxBytes: 1000}) })
			require.ErrorIs(t, err, os.ErrPermission)
			require.ErrorContains(t, err, parent)
			require.NoError(t, os.Chmod(closed, 0o700))
		}
	}
}

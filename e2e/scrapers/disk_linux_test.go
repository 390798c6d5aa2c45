package scrapers

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// disk is a small disk of a test's own.
type disk struct {
	path   string
	filler string
}

// mountDisk mounts a disk until the row ends.
func (r *row) mountDisk() *disk {
	r.Helper()
	path := r.TempDir()
	require.NoError(r, unix.Mount("tmpfs", path, "tmpfs", unix.MS_NODEV, "size=32m"),
		"a full disk takes a root who may mount one; without: go test -skip '^TestDiskFull$'")
	r.endsFirst(func() { require.NoError(r, unix.Unmount(path, unix.MNT_DETACH)) })
	return &disk{path: path, filler: filepath.Join(path, "filler")}
}

// fill takes all the room that is left.
func (d *disk) fill(t *testing.T) {
	t.Helper()
	f, err := os.Create(d.filler)
	require.NoError(t, err)
	defer f.Close()
	block := make([]byte, 4<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
}

// free gives it back.
func (d *disk) free(t *testing.T) {
	t.Helper()
	require.NoError(t, os.Remove(d.filler))
}

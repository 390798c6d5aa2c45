package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hubring/hubring/e2e/internal/link"
	"github.com/hubring/hubring/e2e/internal/realbin"
)

// A controller's machine loses its power, again and again, while Submits wait for its disk and hubs hold their answers
// back: what a Submit had returned nil for is stored in the end.
func TestControllersPowerIsLost(t *testing.T) {
	t.Parallel()
	disk := newDisk(t)
	c := startChaos(t, 1, 2)
	require.NoError(t, c.endController(0))
	disk.mount(t, c.spool(0))
	require.NoError(t, c.startController(t.Context(), 0))
	for range 4 {
		for _, l := range c.pushes {
			l.Set(link.HoldsAnswers)
		}
		sleepUntil(t, time.Now().Add(1500*time.Millisecond))
		disk.losePower(t)
		c.controllers[0].process.Kill()
		for _, l := range c.pushes {
			l.Set(link.Well)
		}
		disk.mount(t, c.spool(0))
		require.NoError(t, c.startController(t.Context(), 0))
		sleepUntil(t, time.Now().Add(time.Second))
	}
	c.finish()
	c.account()
}

// A hub's machine loses its power, again and again, while its server gets nothing and pushes wait for its disk: what it
// had acknowledged is stored in the end.
func TestHubsPowerIsLost(t *testing.T) {
	t.Parallel()
	disk := newDisk(t)
	c := startChaos(t, 1, 2, "--storage.sync=always")
	hub := c.Shards[0].Hub
	require.NoError(t, hub.Process.Terminate()) // its server gets what it has
	require.NoError(t, hub.Process.Wait(patience))
	disk.mount(t, hub.LogPath())
	require.NoError(t, hub.Restart(t.Context()))
	for range 4 {
		c.scrapes[0].Set(link.HoldsAnswers)
		sleepUntil(t, time.Now().Add(1500*time.Millisecond))
		disk.losePower(t)
		hub.Kill()
		c.scrapes[0].Set(link.Well)
		disk.mount(t, hub.LogPath())
		require.NoError(t, hub.Restart(t.Context()))
		sleepUntil(t, time.Now().Add(time.Second))
	}
	c.finish()
	c.account()
}

// disk is a file system of its own, in a file, whose power can be lost.
type disk struct {
	image string
	at    string // where it is mounted, or empty
}

// newDisk makes a disk, or skips the test where nobody may mount one, as in a container without the right to.
func newDisk(t *testing.T) *disk {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real programs")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a file system")
	}
	d := &disk{image: filepath.Join(t.TempDir(), "disk")}
	require.NoError(t, os.WriteFile(d.image, nil, 0o600))
	require.NoError(t, os.Truncate(d.image, 128<<20))
	mkfs, err := realbin.Packaged(t.Context(), realbin.MakeExt4, t.Output())
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), mkfs, "-q", "-F", d.image).CombinedOutput()
	require.NoError(t, err, "%s", out)
	probe := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop", d.image, probe).CombinedOutput(); err != nil {
		t.Skipf("mount: %v %s", err, out)
	}
	require.NoError(t, unix.Unmount(probe, 0))
	t.Cleanup(func() { d.unmount(t) })
	return d
}

// mount puts the disk at a directory, which it makes. What is in its journal is replayed.
func (d *disk) mount(t *testing.T, at string) {
	t.Helper()
	d.unmount(t)
	require.NoError(t, os.MkdirAll(at, 0o700))
	out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop", d.image, at).CombinedOutput()
	require.NoError(t, err, "%s", out)
	d.at = at
}

// unmount may be called for a disk that is not mounted.
func (d *disk) unmount(t *testing.T) {
	t.Helper()
	if d.at != "" {
		require.NoError(t, unix.Unmount(d.at, 0))
		d.at = ""
	}
}

// losePower lets nothing reach the disk any more: neither what is in the kernel's memory nor what is in the memory
// of the file system's journal. (The ioctl is EXT4_IOC_SHUTDOWN, with EXT4_GOING_FLAGS_NOLOGFLUSH.)
func (d *disk) losePower(t *testing.T) {
	t.Helper()
	const shutdown, noLogFlush = 0x8004587d, 2
	root, err := os.Open(d.at)
	require.NoError(t, err)
	defer root.Close()
	require.NoError(t, unix.IoctlSetPointerInt(int(root.Fd()), shutdown, noLogFlush))
}

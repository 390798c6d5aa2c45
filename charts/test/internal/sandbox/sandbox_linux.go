package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inside is set in a sandbox, to the path of a file that is there when the test has run.
const inside = "HUBRING_SANDBOX"

// Run runs body in a sandbox: the test's binary is started again, for this test
// only, in new namespaces, where Run is called once more and runs body. Both have the
// test's name, and what the inner one prints is the outer one's. If the test's
// process dies, the kernel ends all that was started in the sandbox.
//
// The inner process has the environment of the outer one and the variables in env,
// each NAME=value. Where namespaces cannot be had, the test fails and says what to do.
func Run(t *testing.T, env []string, body func(t *testing.T)) {
	t.Helper()
	if Inside() {
		if err := furnish(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(os.Getenv(inside), nil, 0o600); err != nil {
			t.Fatalf("say that the test runs: %v", err)
		}
		body(t)
		return
	}
	if err := again(t, env); err != nil {
		t.Fatal(err)
	}
}

// Inside tells whether this process is in a sandbox, where mounts and links may be
// made without asking what is there already.
func Inside() bool { return os.Getenv(inside) != "" }

// again runs the test in new namespaces and waits for its end.
func again(t *testing.T, env []string) error {
	args := []string{"-test.run=" + only(t.Name()), "-test.count=1"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	if deadline, ok := t.Deadline(); ok {
		// The inner one gives up first, since it knows what it is waiting for.
		args = append(args, "-test.timeout="+(time.Until(deadline)-5*time.Second).String())
	}
	ran := filepath.Join(t.TempDir(), "ran")
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(append(os.Environ(), env...), inside+"="+ran)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.SysProcAttr = namespaces(os.Geteuid() == 0)

	// The kernel takes the end of the thread that starts it for the end of the parent.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("this test needs Linux namespaces (network, mount, process) and cannot make them: "+
			"run it as root with CAP_SYS_ADMIN, or allow user namespaces (sysctl user.max_user_namespaces): %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("in the sandbox: %w", err)
	}
	if _, err := os.Stat(ran); err != nil {
		return fmt.Errorf("in the sandbox the test was not run: %w", err)
	}
	return nil
}

// only returns the pattern of one test.
func only(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// namespaces returns what the inner process gets of its own. Who is not root
// becomes it in a namespace of users, which has that one user only.
func namespaces(root bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	if !root {
		a.Cloneflags |= unix.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return a
}

// furnish makes the new namespaces fit to live in.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep the sandbox's mounts from the host: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount the sandbox's /proc: %w", err)
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the sandbox's loopback: %w", err)
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("start the sandbox's loopback: %w", err)
	}
	return nil
}

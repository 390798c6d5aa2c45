package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// initName is the name of a process that is to become a container.
const initName = "hubring-container"

// specFile is where it finds its Spec.
const specFile = 3

// Before anything else of the program runs: the process is one that Start made.
func init() {
	if len(os.Args) != 1 || os.Args[0] != initName {
		return
	}
	runtime.LockOSThread() // capabilities belong to threads, and this one stays
	fmt.Fprintln(os.Stderr, "become a container:", become())
	os.Exit(1)
}

// become turns this process into the container. It returns only if that fails.
func become() error {
	var spec Spec
	in := os.NewFile(specFile, "spec")
	if err := json.NewDecoder(in).Decode(&spec); err != nil {
		return fmt.Errorf("read what to start: %w", err)
	}
	if err := in.Close(); err != nil {
		return fmt.Errorf("close what to start: %w", err)
	}
	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := changeRoot(spec); err != nil {
		return err
	}
	if err := giveUp(spec); err != nil {
		return err
	}
	args := slices.Concat([]string{spec.Path}, spec.Args)
	return fmt.Errorf("start %s: %w", spec.Path, unix.Exec(spec.Path, args, spec.Env))
}

// giveUp makes the process the user's that it is to run as, with no capability and no
// way to one. Where there is one user only, which is root there, it stays that one.
func giveUp(spec Spec) error {
	for capability := uintptr(0); ; capability++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			break // the one before was the last that there is
		}
		if err != nil {
			return fmt.Errorf("drop the capability %d: %w", capability, err)
		}
	}
	if ManyUsers() {
		if err := unix.Setgroups(spec.Groups); err != nil {
			return fmt.Errorf("set the groups: %w", err)
		}
		if err := unix.Setresgid(spec.GID, spec.GID, spec.GID); err != nil {
			return fmt.Errorf("become the group %d: %w", spec.GID, err)
		}
		if err := unix.Setresuid(spec.UID, spec.UID, spec.UID); err != nil {
			return fmt.Errorf("become the user %d: %w", spec.UID, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid new privileges: %w", err)
	}
	return nil
}

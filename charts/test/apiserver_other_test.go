//go:build !linux

package charttest

import "syscall"

// Only Linux can tie a process's life to its parent's.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

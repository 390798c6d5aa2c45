//go:build !linux

package process

import "syscall"

// Only Linux can tie a program's life to its parent's.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// Suspend halts the program, with SIGSTOP: its sockets stay open, and nobody
// answers. On Linux it returns when the last thread stands still; elsewhere it
// may run on for a moment.
func (p *Process) Suspend(ctx context.Context) error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	if runtime.GOOS != "linux" {
		return nil
	}
	return p.until(ctx, "stands still", p.standsStill)
}

// standsStill returns nil when every thread is stopped, by the third field of
// its stat file in /proc. The second one is the name, in parentheses.
func (p *Process) standsStill() error {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	if err != nil {
		return err
	}
	for _, stat := range stats {
		content, err := os.ReadFile(stat)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return err
		}
		name := bytes.LastIndexByte(content, ')')
		if !bytes.HasPrefix(content[name+1:], []byte(" T")) {
			return fmt.Errorf("a thread of %s is not stopped: %s", p.name, content)
		}
	}
	return nil
}

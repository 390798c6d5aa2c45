// Package process runs the programs of the end-to-end suite.
//
// Start starts a program in a process group of its own, with its output in a
// file; WaitLog and WaitHTTP await that it is ready; Stop or Kill end it and
// wait for it. On Linux the kernel ends it, too, should the test die.
package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Spec says what to start.
type Spec struct {
	Name   string   // for messages, and the log file's name
	Path   string   // the binary
	Args   []string // without the program's name
	Env    []string // NAME=VALUE, beside the test's own
	LogDir string   // where NAME.log goes; a restarted program appends to it
}

// Process is a program that was started. Its methods are safe for concurrent
// use.
type Process struct {
	name    string
	logPath string
	logFrom int64 // where this run's output begins in the file
	cmd     *exec.Cmd
	done    chan struct{} // closed when the program has ended
	err     error         // how; to be read after done
}

// Start starts the program.
func Start(spec Spec) (*Process, error) {
	logPath := filepath.Join(spec.LogDir, spec.Name+".log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	defer func() { _ = log.Close() }() // the program has its own
	info, err := log.Stat()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}

	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Stdout, cmd.Stderr = log, log
	if len(spec.Env) > 0 {
		cmd.Env = append(os.Environ(), spec.Env...)
	}
	cmd.SysProcAttr = attributes()
	p := &Process{
		name: spec.Name, logPath: logPath, logFrom: info.Size(),
		cmd: cmd, done: make(chan struct{}),
	}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	return p, nil
}

// run starts the program and waits for its end. It keeps its thread for so
// long: the kernel takes the end of the thread that started a program for the
// end of the parent.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	close(p.done)
}

// Name returns the name that Spec gave.
func (p *Process) Name() string { return p.name }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Terminate asks the program to stop, with SIGTERM.
func (p *Process) Terminate() error { return p.signal(syscall.SIGTERM) }

// Resume lets a suspended program go on, with SIGCONT.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

// signal sends a signal; a program that has ended needs none.
func (p *Process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to %s: %w", s, p.name, err)
	}
	return nil
}

// Wait waits for the program's end, at most for the timeout, and returns nil
// when it was status 0.
func (p *Process) Wait(timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%s ended: %w", p.name, p.err)
		}
		return nil
	case <-timer.C:
		return fmt.Errorf("%s still runs after %s", p.name, timeout)
	}
}

// Kill kills the program with SIGKILL, and what it started, and waits for its
// end. Killing one that has ended does nothing.
func (p *Process) Kill() {
	select {
	case <-p.done:
		return
	default:
	}
	// An error can only mean that the program ended a moment ago.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// Stop asks the program to stop and kills it when it does not within the
// timeout.
func (p *Process) Stop(timeout time.Duration) error {
	if err := p.Terminate(); err != nil {
		return err
	}
	err := p.Wait(timeout)
	p.Kill()
	return err
}

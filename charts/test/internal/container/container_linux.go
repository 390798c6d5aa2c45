package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Network is where a container is to run.
type Network interface {
	// Do runs f in the network; a process that f starts is in it.
	Do(f func() error) error
}

// Container is a program that was started. It is safe for concurrent use.
type Container struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how; to be read after done
}

// Start starts the program of a spec in a network.
func Start(spec Spec, network Network) (*Container, error) {
	c := &Container{done: make(chan struct{})}
	if err := c.start(spec, network); err != nil {
		return nil, fmt.Errorf("start %s in a container: %w", spec.Path, err)
	}
	return c, nil
}

func (c *Container) start(spec Spec, network Network) error {
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // the container has its own
	c.cmd = &exec.Cmd{
		Path:   "/proc/self/exe",
		Args:   []string{initName},
		Env:    []string{},
		Stdout: spec.Log, Stderr: spec.Log,
		ExtraFiles:  []*os.File{in},
		SysProcAttr: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC},
	}
	if err := network.Do(c.cmd.Start); err != nil {
		_ = out.Close()
		return err
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	_, writeErr := out.Write(text) // if this fails the process says more
	return errors.Join(writeErr, out.Close())
}

// Done is closed when the program has ended.
func (c *Container) Done() <-chan struct{} { return c.done }

// Err returns how the program ended: nil for status 0. It waits for the end.
func (c *Container) Err() error {
	<-c.done
	return c.err
}

// Signal sends the program a signal; one that has ended needs none.
func (c *Container) Signal(s os.Signal) {
	_ = c.cmd.Process.Signal(s) // fails only if it has ended
}

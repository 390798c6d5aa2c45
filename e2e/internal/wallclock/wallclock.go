// Package wallclock gives programs a wall clock that a test sets. The machine's is everybody's, and a time namespace has none of its
// own, so a program is built with a time.Now that adds what stands in a file. The time that passes stays what it is.
package wallclock

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// variable names the file to a program.
const variable = "HUBRING_E2E_CLOCK"

// read is what time.Now does first, once.
const read = "sec, nsec, mono := runtimeNow()"

const addition = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var ahead = func() *int64 {
	path, is := syscall.Getenv("` + variable + `")
	if !is {
		return new(int64)
	}
	f, err := syscall.Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		panic("open the clock: " + err.Error())
	}
	b, err := syscall.Mmap(f, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("map the clock: " + err.Error())
	}
	return (*int64)(unsafe.Pointer(&b[0]))
}()

func secondsAhead() int64 { return atomic.LoadInt64(ahead) }
`

// Overlay writes into a folder what go build needs for such a program, and returns the flag for it.
func Overlay(ctx context.Context, dir string) (flag string, err error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find Go's sources: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		return "", fmt.Errorf("read the source of time.Now: %w", err)
	}
	if strings.Count(string(text), read) != 1 {
		return "", errors.New("this version of Go has another time.Now")
	}
	changed := strings.Replace(string(text), read, read+"\n\tsec += secondsAhead()", 1)
	replace := map[string]string{}
	for path, text := range map[string]string{original: changed, filepath.Join(filepath.Dir(original), "ahead.go"): addition} {
		replace[path] = filepath.Join(dir, "overlay-"+filepath.Base(path))
		if err := os.WriteFile(replace[path], []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return "-overlay=" + path, os.WriteFile(path, overlay, 0o644)
}

// Clock is that of one program, which runs such a build.
type Clock struct{ path string }

// New returns a clock that is right. The file is the test's to remove.
func New(path string) (*Clock, error) {
	c := &Clock{path}
	return c, c.Set(0)
}

// Env is what the program needs in its environment.
func (c *Clock) Env() string { return variable + "=" + c.path }

// Set sets the clock ahead of the machine's by whole seconds, or behind, from now on.
func (c *Clock) Set(ahead time.Duration) error {
	f, err := os.OpenFile(c.path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("set a clock: %w", err)
	}
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], uint64(ahead/time.Second))
	_, err = f.WriteAt(b[:], 0)
	return errors.Join(err, f.Close())
}

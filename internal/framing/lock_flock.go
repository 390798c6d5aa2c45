//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package framing

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Lock takes the lock at path, or fails with ErrLocked at once. The kernel gives it
// back when the process ends, however that happens.
func Lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("%w by process %s", ErrLocked, holder(f))
		}
		return nil, errors.Join(err, f.Close())
	}
	// Only a message needs the number, so a disk that is too full for it is no reason to fail.
	// It is padded, and so covers what was there: cutting the file first makes some systems flush it.
	_, _ = fmt.Fprintf(f, "%-19d\n", os.Getpid())
	return func() error {
		// A child that is just being started has the descriptor, too, and would keep the lock.
		return errors.Join(flock(f, syscall.LOCK_UN), f.Close())
	}, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// holder returns the number of the process that has the lock, as it wrote it.
func holder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 20))
	if _, bad := strconv.Atoi(strings.TrimSpace(string(b))); err != nil || bad != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

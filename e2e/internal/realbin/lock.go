package realbin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// lock takes the file's lock and returns the function that gives it back.
// The kernel gives it back, too, when this process dies.
func lock(ctx context.Context, path string, progress io.Writer) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for first := true; ; first = false {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, fmt.Errorf("lock the cache: %w", err)
		}
		if first {
			fmt.Fprintf(progress, "realbin: waiting for another process that builds (%s)\n", path)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock the cache: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

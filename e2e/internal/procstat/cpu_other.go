//go:build !linux

package procstat

import (
	"errors"
	"time"
)

// CPU is known on Linux only.
func CPU(int) (time.Duration, error) {
	return 0, errors.New("the CPU time of another process can be read on Linux only")
}

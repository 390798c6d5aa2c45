package procstat

import (
	"fmt"
	"os"
)

// ResetPeak has a process' highest RSS counted anew from what it is now.
func ResetPeak(pid int) error {
	const peak = "5" // of the kernel's proc(5), clear_refs
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte(peak), 0o200); err != nil {
		return fmt.Errorf("reset the highest memory of process %d: %w", pid, err)
	}
	return nil
}

// Peak returns the highest RSS of a process since ResetPeak, or since its start, in bytes.
func Peak(pid int) (int64, error) { return statusField(pid, "VmHWM") }

package container

import (
	"fmt"
	"os"
)

// ManyUsers tells whether a process can become another user here: in a namespace of users
// that nobody else may make, there is only the one who made it.
func ManyUsers() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return true // then trying says more
	}
	var inside, outside, count int
	_, err = fmt.Sscan(string(text), &inside, &outside, &count)
	return err != nil || count > 1
}

// Own gives a folder to a group, whose members may write to it, as the kubelet does with
// volumes for a pod's fsGroup.
func Own(folder string, group int) error {
	if ManyUsers() {
		if err := os.Chown(folder, -1, group); err != nil {
			return fmt.Errorf("give a volume to the pod's group: %w", err)
		}
	}
	if err := os.Chmod(folder, 0o775|os.ModeSetgid); err != nil {
		return fmt.Errorf("let the pod's group write to a volume: %w", err)
	}
	return nil
}

package kubelet

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// logPath is where a container's output goes; that of a pod's next life is appended.
func (c *Cluster) logPath(pod, container string) string {
	return filepath.Join(c.cfg.Dir, "logs", pod+"."+container+".log")
}

// Log returns what a container has printed, in all lives of a pod of that name.
func (c *Cluster) Log(pod, container string) string {
	text, err := os.ReadFile(c.logPath(pod, container))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// WriteLogs writes what happened, and the last lines of each container.
func (c *Cluster) WriteLogs(w io.Writer, lines int) {
	c.mu.Lock()
	events := slices.Clone(c.events)
	c.mu.Unlock()
	fmt.Fprintf(w, "--- events\n%s\n", strings.Join(events, "\n"))
	paths, err := filepath.Glob(filepath.Join(c.cfg.Dir, "logs", "*.log"))
	if err != nil {
		fmt.Fprintln(w, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintln(w, err)
		}
		fmt.Fprintf(w, "--- %s\n%s\n", strings.TrimSuffix(filepath.Base(path), ".log"), tail(text, lines))
	}
}

// tail returns the last lines of a text.
func tail(text []byte, lines int) []byte {
	all := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	return bytes.Join(all[max(0, len(all)-lines):], []byte("\n"))
}

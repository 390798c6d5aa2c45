package process

import (
	"bytes"
	"os"
)

// Log returns what the program has written since it was started.
func (p *Process) Log() string { return string(readFrom(p.logPath, p.logFrom)) }

// LogTail returns the last whole lines of Log, n bytes at most.
func (p *Process) LogTail(n int) string {
	log := []byte(p.Log())
	if len(log) <= n {
		return string(log)
	}
	log = log[len(log)-n:]
	if cut := bytes.IndexByte(log, '\n'); cut >= 0 {
		log = log[cut+1:]
	}
	return "[...]\n" + string(log)
}

// readFrom returns the file from an offset, or nothing: a log that cannot be
// read is as good as an empty one to all who look for something in it.
func readFrom(path string, offset int64) []byte {
	content, err := os.ReadFile(path)
	if err != nil || int64(len(content)) < offset {
		return nil
	}
	return content[offset:]
}

//go:build !linux

package framing

import "os"

// flush makes durable what was written to a file.
func flush(f *os.File) error { return f.Sync() }

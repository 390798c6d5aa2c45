//go:build windows || plan9 || js || wasip1

package framing

// SyncDir does nothing: a directory can't be synced here.
func SyncDir(string) error { return nil }

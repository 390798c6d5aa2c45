//go:build windows || plan9 || js || wasip1

package spool

// syncDir does nothing: a directory can't be synced here.
func syncDir(string) error { return nil }

//go:build !linux

package scrapers

import "testing"

type disk struct{ path string }

func (r *row) mountDisk() *disk {
	r.Helper()
	r.Fatal("a full disk takes Linux, which mounts one; without: go test -skip '^TestDiskFull$'")
	return nil
}

func (*disk) fill(*testing.T) {}

func (*disk) free(*testing.T) {}

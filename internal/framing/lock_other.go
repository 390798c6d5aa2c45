//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package framing

import "os"

// Lock only sees that the file can be written. These systems have no lock that ends
// with its process, and one that outlives it would keep a restart out: that no two
// processes share a directory is up to whoever starts them.
func Lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return f.Close, nil
}

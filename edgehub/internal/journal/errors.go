package journal

import "errors"

var (
	// ErrVersion is returned by Open for a directory that a newer version has written.
	ErrVersion = errors.New("newer version")
	// errDamaged is what is wrong with bytes that are not what was written.
	errDamaged = errors.New("damaged")
	// errBroken is why nothing is written until Probe finds the disk well.
	errBroken = errors.New("the disk has failed, and is not known to be well again")
	errClosed = errors.New("journal is closed")
)

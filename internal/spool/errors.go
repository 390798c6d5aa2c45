package spool

import (
	"errors"

	"github.com/hubring/hubring/internal/framing"
)

// What the methods return, wrapped with the figures of the case. Errors of the
// file system are wrapped as they are.
var (
	// ErrLocked is returned by Open for a directory that another Store has.
	ErrLocked = framing.ErrLocked
	// ErrFull is returned by Append while MaxBytes leaves no room. Nothing was written.
	ErrFull = errors.New("spool is full")
	// ErrTooLarge is returned by Append for a record that will never fit.
	ErrTooLarge = errors.New("record is too large for the spool")
	// ErrDone is returned by Body for a record that is done.
	ErrDone = errors.New("record is done")
	// ErrCorrupt is what is wrong with bytes that are not what was written.
	ErrCorrupt = errors.New("damaged")
	// ErrVersion is what is wrong with a segment of a newer version.
	ErrVersion = errors.New("newer version")
	// ErrClosed is returned by all methods after Close.
	ErrClosed = errors.New("spool is closed")
)

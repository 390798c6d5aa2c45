package framing

import "errors"

// ErrLocked is returned by Lock for a directory that another process has.
var ErrLocked = errors.New("directory is in use")

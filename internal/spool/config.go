package spool

import (
	"errors"
	"fmt"

	"github.com/hubring/hubring/internal/framing"
)

// The bounds of a record and of a segment, in bytes.
const (
	MaxMetaBytes    = framing.MaxMetaBytes
	MaxBodyBytes    = framing.MaxBodyBytes
	MaxSegmentBytes = framing.MaxSegmentBytes
)

// defaultSegmentBytes is for spools with room for eight of them.
const defaultSegmentBytes = 16 << 20

// Config says where a Store keeps its files, and how much.
type Config struct {
	// Dir is the directory, which Open creates for its owner alone (0700) if it is
	// missing. One Store at a time has it.
	Dir string
	// MaxBytes bounds the size of all segments, in bytes, with the records in them
	// that are done already. It must be set.
	MaxBytes int64
	// SegmentBytes is the size at which the next segment is begun, in bytes, at most
	// MaxSegmentBytes. A larger record has a segment of its own. 0 means 16 MiB, or an
	// eighth of MaxBytes if that is less.
	SegmentBytes int64
}

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	if c.SegmentBytes == 0 {
		c.SegmentBytes = max(1, min(defaultSegmentBytes, c.MaxBytes/8))
	}
	return c
}

// validate reports all that is wrong, after withDefaults.
func (c Config) validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("spool: Dir is not set"))
	}
	if c.MaxBytes <= 0 {
		errs = append(errs, fmt.Errorf("spool: MaxBytes is %d and must be positive", c.MaxBytes))
	}
	if c.SegmentBytes < 0 || c.SegmentBytes > MaxSegmentBytes {
		errs = append(errs, fmt.Errorf("spool: SegmentBytes is %d and must be between 0 and %d", c.SegmentBytes, MaxSegmentBytes))
	}
	return errors.Join(errs...)
}

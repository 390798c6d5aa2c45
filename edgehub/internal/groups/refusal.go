package groups

import "fmt"

// Kind is whose fault a refusal is.
type Kind int

// The kinds.
const (
	Bad    Kind = iota // the push is wrong, and will be
	Full               // there is no room
	Broken             // the disk does not keep it
)

// RefusedError is why a push or a deletion was not taken.
type RefusedError struct {
	Kind   Kind
	Reason string // in one word
	text   string
}

func (e *RefusedError) Error() string { return e.text }

// Why a push is refused.
const (
	Malformed     = "malformed"
	BadLabels     = "group_labels"
	Timestamp     = "timestamp"
	Duplicate     = "duplicate_series"
	Inconsistent  = "inconsistent_type"
	Reserved      = "reserved_name"
	BadHistogram  = "native_histogram"
	ManyGroups    = "groups_limit"
	ManySeries    = "groups_series"
	ManyBytes     = "groups_bytes"
	StorageFailed = "storage_failed"
	StorageFull   = "storage_full"
	StorageSlow   = "storage_slow"
)

// Reasons are those that there are without a disk, and DiskReasons those of the disk.
var (
	Reasons     = []string{Malformed, BadLabels, Timestamp, Duplicate, Inconsistent, Reserved, BadHistogram, ManyGroups, ManySeries, ManyBytes}
	DiskReasons = []string{StorageFailed, StorageFull, StorageSlow}
)

func bad(reason, format string, args ...any) *RefusedError {
	return &RefusedError{Bad, reason, fmt.Sprintf(format, args...)}
}

func full(reason, format string, args ...any) *RefusedError {
	return &RefusedError{Full, reason, fmt.Sprintf(format, args...)}
}

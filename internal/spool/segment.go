package spool

import "github.com/hubring/hubring/internal/framing"

const (
	segmentMagic   = "hubspool"
	segmentVersion = 1
)

// Ref says where a record is. It is comparable, has 24 bytes, and is good for the
// Store that returned it.
type Ref = framing.Ref

// segment is a file of records. The Store's mutex guards it.
type segment struct {
	number uint64
	path   string
	size   int64 // of the file, in bytes
	undone int   // records that are not done

	file framing.File // nil while it is not open
	used uint64       // when the file was wanted last: see Store.fileLocked

	dirty     bool  // written to since the last Sync
	syncError error // of a Sync that failed; what it lost, no later one can tell

	synced  int64 // what is before is safe, in bytes from the start
	unsafe  int   // records behind that are not done
	syncing int64 // the size when the latest Sync began
	newer   int   // records behind that one that are not done
}

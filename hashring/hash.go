package hashring

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// hasher is xxhash64 with seed 0, the one hash of the ring.
type hasher struct{}

func (hasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }

// score is the rendezvous weight of a node for a partition. The two hashes are
// hashed again together, so that the order of the nodes for one partition says
// nothing about their order for the next.
func score(partition, nodeHash uint64) uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], partition)
	binary.LittleEndian.PutUint64(b[8:], nodeHash)
	return xxhash.Sum64(b[:])
}

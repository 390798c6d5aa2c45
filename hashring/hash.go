package hashring

import (
	"math"

	"github.com/cespare/xxhash/v2"
)

const (
	// formatVersion goes up whenever a key could get another owner from the same
	// set of nodes. It is part of the fingerprint.
	formatVersion = 1
	// partitions is a power of two, so that a key's partition is a mask away. It
	// bounds how even the ring can be: 1,000 nodes have 262 each, give or take
	// 16. Four times as many would halve that, and no longer fit a core's cache.
	partitions = 1 << 18
)

// partition returns the partition of the keys of this hash, which is xxhash64 with
// seed 0: its low bits.
func partition(hash uint64) uint64 { return hash & (partitions - 1) }

// nodeMark is the number by which a node enters the score.
func nodeMark(name string) uint64 { return xxhash.Sum64String(name) }

// partitionMark is the number by which a partition enters the score: the value
// of that index in the sequence that splitmix64 gives from seed 0.
func partitionMark(p uint64) uint64 { return mix((p + 1) * 0x9e3779b97f4a7c15) }

// score says how much a partition likes a node, if all nodes weigh the same. It
// is a bijection of the node's mark, so only nodes whose names have the same
// hash can tie.
func score(partitionMark, nodeMark uint64) uint64 { return mix(partitionMark ^ nodeMark) }

// mix is the finaliser of splitmix64 (Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", 2014). A ring of 1,000 nodes calls it 262
// million times; two multiplications are what it may cost.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// shortfall is 1-u, exactly, where u is the score as a number strictly between 0 and
// 1: its upper 52 bits, and a half, so that it is never at either end.
func shortfall(score uint64) float64 {
	return (float64(1<<52-score>>12) - 0.5) / (1 << 52)
}

// wait is -ln(u): when the node would ring first if it rang at random, once a
// second. The node of weight w rings w times as often.
func wait(score uint64) float64 {
	return -math.Log((float64(score>>12) + 0.5) / (1 << 52))
}

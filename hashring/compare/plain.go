package compare

import "github.com/cespare/xxhash/v2"

// rendezvous asks every node for every key (Thaler and Ravishankar, 1998), with no
// table in between.
type rendezvous struct {
	nodes  []string
	hashes []uint64
}

func newRendezvous(nodes []string) placement {
	r := rendezvous{nodes: nodes}
	for _, n := range nodes {
		r.hashes = append(r.hashes, xxhash.Sum64String(n))
	}
	return r
}

// best returns the nodes with the highest and the second highest score.
func (r rendezvous) best(key string) (first, second int) {
	h := xxhash.Sum64String(key)
	var firstScore, secondScore uint64
	for i, n := range r.hashes {
		x := (h ^ n) * 0xff51afd7ed558ccd
		x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
		x ^= x >> 33
		switch {
		case x > firstScore:
			second, secondScore = first, firstScore
			first, firstScore = i, x
		case x > secondScore:
			second, secondScore = i, x
		}
	}
	return first, second
}

func (r rendezvous) owner(key string) string {
	first, _ := r.best(key)
	return r.nodes[first]
}

func (r rendezvous) next(key string) string {
	_, second := r.best(key)
	return r.nodes[second]
}

// jump is jump consistent hashing (Lamping and Veach, "A Fast, Minimal Memory,
// Consistent Hash Algorithm", 2014): nodes are positions in a list, so only the last
// can go without a shift, and there is no order for failover.
type jump []string

func newJump(nodes []string) placement { return jump(nodes) }

func (j jump) owner(key string) string {
	h := xxhash.Sum64String(key)
	bucket, next := int64(-1), int64(0)
	for next < int64(len(j)) {
		bucket = next
		h = h*2862933555777941757 + 1
		next = int64(float64(bucket+1) * (float64(1<<31) / float64(h>>33+1)))
	}
	return j[bucket]
}

package compare

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// ketama places keys as Thanos Receive's "ketama" hashring does, by what Thanos
// publishes of it (https://thanos.io/tip/components/receive.md, pull request 5408):
// every node stands on the circle at 1,000 places, a key belongs to the node whose
// place comes next, and its replicas to the next others.
type ketama []ketamaPlace

type ketamaPlace struct {
	hash uint64
	node string
}

const ketamaPlaces = 1000

func newKetama(nodes []string) placement {
	circle := make(ketama, 0, len(nodes)*ketamaPlaces)
	for _, n := range nodes {
		for i := range ketamaPlaces {
			circle = append(circle, ketamaPlace{xxhash.Sum64String(n + ":" + strconv.Itoa(i+1)), n})
		}
	}
	slices.SortFunc(circle, func(a, b ketamaPlace) int { return cmp.Compare(a.hash, b.hash) })
	return circle
}

func (k ketama) place(key string) int {
	h := xxhash.Sum64String(key)
	i, _ := slices.BinarySearchFunc(k, h, func(p ketamaPlace, h uint64) int { return cmp.Compare(p.hash, h) })
	return i % len(k)
}

func (k ketama) owner(key string) string { return k[k.place(key)].node }

func (k ketama) next(key string) string {
	first := k.place(key)
	for i := first; ; i = (i + 1) % len(k) {
		if k[i].node != k[first].node {
			return k[i].node
		}
	}
}

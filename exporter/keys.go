package exporter

import (
	"strings"
	"sync"
)

// keys has a copy of each key that was submitted: the caller's own string may be a part of
// something large, which it would keep alive while its samples are queued. All methods
// may be called from any goroutine.
type keys struct {
	mu    sync.RWMutex
	known map[string]string
	bytes int
}

const (
	// maxKeyBytes bounds the memory for them. When it is full all are forgotten, and
	// copied again as they come.
	maxKeyBytes = 16 << 20
	keyOverhead = 64 // of a place in the map
)

// own returns the copy of a key.
func (k *keys) own(key string) string {
	k.mu.RLock()
	copied, ok := k.known[key]
	k.mu.RUnlock()
	if ok {
		return copied
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if copied, ok := k.known[key]; ok {
		return copied
	}
	key = strings.Clone(key)
	size := len(key) + keyOverhead
	if k.bytes+size > maxKeyBytes {
		clear(k.known)
		k.bytes = 0
	}
	if size <= maxKeyBytes {
		k.known[key] = key
		k.bytes += size
	}
	return key
}

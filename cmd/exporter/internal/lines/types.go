// Package lines turns what a decoder reads into lines of the text format, in which the exporter takes samples in.
//
// Some senders say what families are in requests of their own, such as Prometheus with remote write 1.0. So that is remembered, for families
// of which samples come later.
package lines

import (
	"strings"
	"sync"
)

// The bounds of Types. When there is no room all are forgotten, and learned again as they come.
const (
	maxFamilies   = 32 << 10
	maxTypesBytes = 16 << 20
)

// family is what was said of one.
type family struct{ kind, help string }

// Types remembers what families are. Its methods may be called from any goroutine.
type Types struct {
	mu       sync.RWMutex
	families map[string]family
	bytes    int
}

// of returns what is known of the family of a series' name, which may be a part of it.
func (t *Types) of(name []byte) (as string, f family, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if f, ok = t.families[string(name)]; ok {
		return string(name), f, true
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		base, is := strings.CutSuffix(string(name), suffix)
		if f, ok = t.families[base]; is && base != "" && ok && (f.kind == "histogram" || f.kind == "summary" && suffix != "_bucket") {
			return base, f, true
		}
	}
	return "", family{}, false
}

// learn notes what is said of a family. What is said later counts.
func (t *Types) learn(name string, change func(f *family)) {
	t.mu.RLock()
	before := t.families[name]
	t.mu.RUnlock()
	after := before
	if change(&after); after == before {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.families == nil || len(t.families) >= maxFamilies || t.bytes+len(name)+len(after.kind)+len(after.help) > maxTypesBytes {
		t.families, t.bytes = map[string]family{}, 0
	}
	old, known := t.families[name]
	if known {
		t.bytes -= len(name) + len(old.kind) + len(old.help)
	}
	t.bytes += len(name) + len(after.kind) + len(after.help)
	t.families[name] = after
}

package otlp

import (
	"hash/maphash"
	"math"
)

var targetName, targetHelp = []byte("target_info"), []byte("Target metadata")

const (
	// A series is there for queries for 5 minutes after a sample, so a request that covers more gets one each half of it.
	targetStep = 150e9 // nanoseconds
	targetSpan = 3600e9
)

// target is what is said of a resource by the series target_info.
type target struct {
	wanted      bool
	labels      []byte
	first, last uint64 // times of the resource's points, in nanoseconds
	untimed     bool   // it has points that have none
	seen        map[targetKey]struct{}
	family      family
	hashes      maphash.Hash
}

// targetKey is a sample of target_info in a request, which several resources may have.
type targetKey struct {
	series uint64
	ms     int64
}

func (t *target) begin() { t.wanted, t.untimed, t.first, t.last = false, false, math.MaxUint64, 0 }

// end forgets a request.
func (t *target) end() {
	if len(t.seen) > maxKept {
		t.seen = map[targetKey]struct{}{}
	}
	clear(t.seen)
}

// saw notes that a point was taken.
func (t *target) saw(at uint64) {
	if at == 0 {
		t.untimed = true
		return
	}
	t.first, t.last = min(t.first, at), max(t.last, at)
}

// writeTarget writes the labels of a resource's target_info, which has attributes beside those that name job and instance.
func (r *reader) writeTarget() error {
	t := &r.target
	rest := r.attributes[:0]
	for _, a := range r.attributes {
		switch string(a.key) {
		case serviceName, serviceNamespace, serviceInstance:
		default:
			rest = append(rest, a)
		}
	}
	if r.attributes = rest; len(rest) == 0 {
		return nil
	}
	r.fixResource()
	r.base = r.base[:0]
	r.metric = metric{name: targetName}
	if err := r.appendAttributes(""); err != nil {
		return r.refused(0, err)
	}
	t.wanted = len(r.fixed) > 0 || r.labelOf(jobName).point == r.point || r.labelOf(instanceName).point == r.point
	t.labels = append(append(t.labels[:0], r.base...), r.fixed...)
	return nil
}

// bringTarget brings the target_info of the resource whose points were read.
func (r *reader) bringTarget() error {
	t := &r.target
	if !t.wanted || t.last == 0 && !t.untimed {
		return nil
	}
	r.base = append(r.base[:0], t.labels...)
	r.metric = metric{name: targetName, family: &t.family}
	t.family.name, t.family.classic = targetName, true
	if err := r.describe(&t.family, gaugeWord, targetHelp); err != nil {
		return err
	}
	if t.last == 0 {
		return r.refused(0, r.bring(times{}, "", "", 1))
	}
	if t.last-t.first > targetSpan {
		t.first = t.last - targetSpan
	}
	for at := t.first; at < t.last; at += targetStep {
		if err := r.bringTargetAt(at); err != nil {
			return err
		}
	}
	return r.bringTargetAt(t.last)
}

func (r *reader) bringTargetAt(at uint64) error {
	t := &r.target
	t.hashes.Reset()
	_, _ = t.hashes.Write(t.labels) // a hash does not fail
	key := targetKey{t.hashes.Sum64(), ms(at)}
	if _, is := t.seen[key]; is {
		return nil
	}
	t.seen[key] = struct{}{}
	return r.refused(0, r.bring(times{at: at}, "", "", 1))
}

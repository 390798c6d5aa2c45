package otlp

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// maxAttributes bounds the attributes of a point, a resource or a scope.
const maxAttributes = 256

// The attributes of a resource that say which one it is.
const (
	serviceName      = "service.name"
	serviceNamespace = "service.namespace"
	serviceInstance  = "service.instance.id"
)

// What they become.
var jobName, instanceName = []byte("job"), []byte("instance")

// addAttribute notes one more attribute of what is read.
func (r *reader) addAttribute(b []byte) error {
	a, err := parseAttribute(b)
	if err != nil {
		return err
	}
	r.attributes = append(r.attributes, a)
	return nil
}

// begins makes room for a resource.
func (r *reader) begins() {
	r.attributes = r.attributes[:0]
	r.promise, r.promote = r.promise[:0], r.promote[:0]
	r.target.begin()
}

// resource notes the attributes of one.
func (r *reader) resource(b []byte) error {
	m := message{rest: b}
	for m.next() {
		if m.tag == 1<<3|block {
			if err := r.addAttribute(m.bytes); err != nil {
				return err
			}
		}
	}
	return m.end()
}

// settle notes what all series of a resource have.
func (r *reader) settle() error {
	r.job = r.job[:0]
	name, is, err := r.find(serviceName)
	if err != nil {
		return err
	}
	if is {
		name = slices.Clone(name)
		namespace, is, err := r.find(serviceNamespace)
		if err != nil {
			return err
		}
		if is {
			r.job = append(append(r.job, namespace...), '/')
		}
		r.job = append(r.job, name...)
	}
	instance, _, err := r.find(serviceInstance)
	if err != nil {
		return err
	}
	r.instance = append(r.instance[:0], instance...)
	if err := r.promotions(); err != nil {
		return err
	}
	return r.writeTarget()
}

// find is the text of the first attribute of a name.
func (r *reader) find(name string) (value []byte, is bool, err error) {
	for _, a := range r.attributes {
		if string(a.key) == name {
			value, r.scratch, err = text(a.value, r.scratch)
			return value, true, err
		}
	}
	return nil, false, nil
}

// promotions notes which attributes of a resource its points get. Of two for one label the last one counts.
func (r *reader) promotions() error {
	for _, a := range r.attributes {
		l := r.labelOf(a.key)
		if l.err != nil || l.name != r.cfg.Gateway && !slices.Contains(r.cfg.Promote, view(a.key)) {
			continue
		}
		r.promote = slices.DeleteFunc(r.promote, func(p promotion) bool { return p.label == l })
		value, scratch, err := text(a.value, r.scratch)
		if r.scratch = scratch; err != nil {
			return err
		}
		if len(value) == 0 {
			continue
		}
		from := len(r.promise)
		r.promise = appendLabel(r.promise, l, value)
		r.promote = append(r.promote, promotion{l, from, len(r.promise)})
	}
	return nil
}

// fixResource begins the labels that no attribute of a point changes with those of its resource.
func (r *reader) fixResource() {
	r.generation++
	r.fixed = r.fixed[:0]
	if len(r.job) > 0 {
		r.fix(r.labelOf(jobName), r.job)
	}
	if len(r.instance) > 0 {
		r.fix(r.labelOf(instanceName), r.instance)
	}
}

// fix adds such a label. Without a value it is one that no series has.
func (r *reader) fix(l *label, value []byte) {
	if l.err != nil {
		return
	}
	if l.fixed = r.generation; len(value) > 0 {
		r.fixed = appendLabel(r.fixed, l, value)
	}
}

func appendLabel(dst []byte, l *label, value []byte) []byte {
	dst = append(dst, l.head...)
	dst = exposition.AppendLabelValue(dst, view(value))
	return append(dst, '"', ',')
}

// fixScope adds those of a scope, if they are wanted and it has a name.
func (r *reader) fixScope(scope, schema []byte) error {
	r.fixResource()
	if !r.cfg.ScopeMetadata {
		return nil
	}
	var name, version []byte
	r.attributes = r.attributes[:0]
	m := message{rest: scope}
	for m.next() {
		switch m.tag {
		case 1<<3 | block:
			name = m.bytes
		case 2<<3 | block:
			version = m.bytes
		case 3<<3 | block:
			if err := r.addAttribute(m.bytes); err != nil {
				return err
			}
		}
	}
	if m.broken || len(name) == 0 {
		return m.end()
	}
	r.fix(r.labelOf([]byte("otel_scope_name")), name)
	r.fix(r.labelOf([]byte("otel_scope_version")), version)
	r.fix(r.labelOf([]byte("otel_scope_schema_url")), schema)
	r.point++
	for _, a := range slices.Backward(r.attributes) { // of two for one label the last one counts
		l := r.labelOf(append([]byte("otel_scope_"), a.key...))
		if l.err != nil || l.fixed == r.generation || l.point == r.point {
			continue
		}
		l.point = r.point
		value, scratch, err := text(a.value, r.scratch)
		if r.scratch = scratch; err != nil {
			return err
		}
		if len(value) > 0 {
			r.fix(l, value)
		}
	}
	return nil
}

// appendAttributes writes attributes as labels in the order of their keys, and notes which labels there are.
func (r *reader) appendAttributes(except string) (err error) {
	if len(r.attributes) > maxAttributes {
		return fmt.Errorf("it has %d attributes, the limit is %d", len(r.attributes), maxAttributes)
	}
	if !slices.IsSortedFunc(r.attributes, byKey) {
		slices.SortStableFunc(r.attributes, byKey)
	}
	from := len(r.base)
	r.point++
	for _, a := range r.attributes {
		if string(a.key) == "__name__" { // the metric's
			continue
		}
		l := r.labelOf(a.key)
		if l.err != nil {
			return l.err
		}
		if l.fixed == r.generation || l.name == except {
			continue
		}
		if l.point == r.point { // two attributes became one label
			r.base = r.base[:from]
			return r.joinAttributes(except)
		}
		var value []byte
		if value, r.scratch, err = text(a.value, r.scratch); err != nil {
			return err
		}
		if len(value) > 0 {
			l.point = r.point
			r.base = appendLabel(r.base, l, value)
		}
	}
	return nil
}

func byKey(a, b attribute) int { return bytes.Compare(a.key, b.key) }

// joinAttributes does so where several attributes become one label, whose values are joined by semicolons.
func (r *reader) joinAttributes(except string) (err error) {
	var order []*label
	values := map[*label][]byte{}
	for _, a := range r.attributes {
		l := r.labelOf(a.key)
		if l.err != nil {
			return l.err
		}
		if string(a.key) == "__name__" || l.fixed == r.generation || l.name == except {
			continue
		}
		var value []byte
		if value, r.scratch, err = text(a.value, r.scratch); err != nil {
			return err
		}
		if there := values[l]; there != nil {
			values[l] = append(append(there, ';'), value...)
		} else if len(value) > 0 {
			order = append(order, l)
			values[l] = slices.Clone(value)
		}
	}
	for _, l := range order {
		l.point = r.point
		r.base = appendLabel(r.base, l, values[l])
	}
	return nil
}

// name makes a series of a family's name, or one with a suffix, and the labels of a point, with one more label or none.
func (r *reader) name(f *family, suffix, more string) []byte {
	r.series = r.series[:0]
	if f.classic && len(r.base) == 0 && more == "" {
		r.series = append(append(r.series, f.name...), suffix...)
		return r.series
	}
	r.series = f.appendHead(r.series, suffix)
	r.series = append(append(r.series, r.base...), more...)
	r.series = decode.CloseSeries(r.series)
	return r.series
}

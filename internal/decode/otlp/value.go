package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"unsafe"
)

// The fields of an AnyValue.
const (
	anyString = 1<<3 | block
	anyBool   = 2<<3 | varint
	anyInt    = 3<<3 | varint
	anyDouble = 4<<3 | fixed64
	anyArray  = 5<<3 | block
	anyMap    = 6<<3 | block
	anyBytes  = 7<<3 | block
)

// maxNesting bounds how deep values are inside of others.
const maxNesting = 32

var errNesting = errors.New("an attribute's value has more than 32 others around each other")

// attribute is a KeyValue.
type attribute struct{ key, value []byte } // the value is an AnyValue

func parseAttribute(b []byte) (a attribute, err error) {
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case 1<<3 | block:
			a.key = m.bytes
		case 2<<3 | block:
			a.value = m.bytes
		}
	}
	return a, m.end()
}

// text returns a value as Prometheus writes it into a label. It may be part of the value or of scratch.
func text(value, scratch []byte) (text, kept []byte, err error) {
	m := message{rest: value}
	last := message{}
	for m.next() {
		last = m
	}
	if m.broken {
		return nil, scratch, errWire
	}
	switch last.tag {
	case anyString:
		return last.bytes, scratch, nil
	case anyBool:
		scratch = strconv.AppendBool(scratch[:0], last.value != 0)
	case anyInt:
		scratch = strconv.AppendInt(scratch[:0], int64(last.value), 10)
	case anyDouble:
		scratch = appendDouble(scratch[:0], last.double())
	case anyBytes:
		scratch = base64.StdEncoding.AppendEncode(scratch[:0], last.bytes)
	case anyArray, anyMap:
		var tree any
		if tree, err = treeOf(value, 0); err != nil {
			return nil, scratch, err
		}
		var out bytes.Buffer
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		if err := e.Encode(tree); err != nil { // for a number that is none: Prometheus has an empty text then
			return nil, scratch, nil
		}
		return bytes.TrimSuffix(out.Bytes(), []byte("\n")), scratch, nil
	default:
		return nil, scratch, nil
	}
	return scratch, scratch, nil
}

// appendDouble appends a number as JavaScript does.
func appendDouble(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	}
	if abs := math.Abs(v); abs == 0 || abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, v, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, v, 'e', -1, 64)
	if n := len(dst); n >= 4 && string(dst[n-4:n-1]) == "e-0" { // one digit is enough
		dst = append(dst[:n-2], dst[n-1])
	}
	return dst
}

// treeOf is a value as encoding/json writes it.
func treeOf(value []byte, depth int) (tree any, err error) {
	if depth > maxNesting {
		return nil, errNesting
	}
	m := message{rest: value}
	for m.next() {
		switch m.tag {
		case anyString:
			tree = string(m.bytes)
		case anyBool:
			tree = m.value != 0
		case anyInt:
			tree = int64(m.value)
		case anyDouble:
			tree = m.double()
		case anyBytes:
			tree = append([]byte(nil), m.bytes...) // nil where there are none, which Prometheus writes as null
		case anyArray:
			tree, err = listOf(m.bytes, depth)
		case anyMap:
			tree, err = mapOf(m.bytes, depth)
		}
		if err != nil {
			return nil, err
		}
	}
	return tree, m.end()
}

func listOf(b []byte, depth int) (any, error) {
	list := []any{}
	m := message{rest: b}
	for m.next() {
		if m.tag != 1<<3|block {
			continue
		}
		tree, err := treeOf(m.bytes, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, tree)
	}
	return list, m.end()
}

func mapOf(b []byte, depth int) (any, error) {
	all := map[string]any{}
	m := message{rest: b}
	for m.next() {
		if m.tag != 1<<3|block {
			continue
		}
		a, err := parseAttribute(m.bytes)
		if err != nil {
			return nil, err
		}
		if all[string(a.key)], err = treeOf(a.value, depth+1); err != nil {
			return nil, err
		}
	}
	return all, m.end()
}

// view is a string of the same bytes, for a callee that keeps nothing of it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

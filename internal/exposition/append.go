package exposition

import (
	"bytes"
	"encoding/binary"
	"unsafe"
)

// ContentType is the media type of the format that this package reads and
// writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// AppendLabelValue appends v as it stands between the quotes of a label:
// backslash, double quote and line feed are escaped.
func AppendLabelValue(dst []byte, v string) []byte {
	if IsPlain(unsafe.Slice(unsafe.StringData(v), len(v))) {
		return append(dst, v...)
	}
	return appendEscaped(dst, v, true)
}

// IsPlain says whether AppendLabelValue escapes nothing of v.
func IsPlain(v []byte) bool {
	if len(v) < 8 {
		for _, c := range v {
			if c == '"' || c == '\\' || c == '\n' {
				return false
			}
		}
		return true
	}
	last := v[len(v)-8:]
	for ; len(v) > 8; v = v[8:] {
		if hasSpecial(binary.LittleEndian.Uint64(v)) {
			return false
		}
	}
	return !hasSpecial(binary.LittleEndian.Uint64(last))
}

// AppendHelp appends v as it stands in a HELP line: backslash and line feed are
// escaped.
func AppendHelp(dst []byte, v string) []byte { return appendEscaped(dst, v, false) }

// UnescapeHelp undoes AppendHelp. A backslash before any other letter stands for
// itself, as it does for Prometheus.
func UnescapeHelp(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	text, _ := appendUnescaped(nil, b, false)
	return string(text)
}

// UnescapeLabelValue undoes AppendLabelValue.
func UnescapeLabelValue(s string) string {
	text, _ := appendUnescaped(nil, []byte(s), true)
	return string(text)
}

// appendUnescaped appends b without its escapes, and counts them.
func appendUnescaped(dst, b []byte, quotes bool) (text []byte, escapes int) {
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			if e, ok := unescaped(b[i+1], quotes); ok {
				c = e
				escapes++
				i++
			}
		}
		dst = append(dst, c)
	}
	return dst, escapes
}

// unescaped returns what a backslash and c stand for.
func unescaped(c byte, quotes bool) (byte, bool) {
	switch {
	case c == '\\', c == '"' && quotes:
		return c, true
	case c == 'n':
		return '\n', true
	}
	return 0, false
}

// needEscapes counts the bytes of b that AppendLabelValue escapes.
func needEscapes(b []byte) (n int) {
	for _, c := range b {
		if c == '\\' || c == '"' || c == '\n' {
			n++
		}
	}
	return n
}

// appendQuoted appends v in quotes.
func appendQuoted(dst []byte, v string) []byte {
	return append(AppendLabelValue(append(dst, '"'), v), '"')
}

// view is b as a string that lives as long as b does not change.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func appendEscaped(dst []byte, v string, quotes bool) []byte {
	for i := range len(v) {
		switch c := v[i]; {
		case c == '\\', c == '"' && quotes:
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

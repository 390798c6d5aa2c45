package decode

import (
	"unsafe"

	"github.com/hubring/hubring/internal/exposition"
)

// Label is a label of a series. Its parts may be those of a body.
type Label struct{ Name, Value []byte }

// AppendSeries appends the text of a series as Sink wants it. The labels may be in any order; __name__ is not among them.
func AppendSeries(dst, name []byte, labels []Label) []byte {
	if exposition.ValidMetricName(view(name)) {
		dst = append(dst, name...)
		if len(labels) == 0 {
			return dst
		}
		dst = append(dst, '{')
	} else {
		dst = append(dst, '{')
		dst = exposition.AppendName(dst, view(name))
		dst = append(dst, ',')
	}
	for _, l := range labels {
		dst = AppendLabel(dst, l.Name, l.Value)
	}
	return CloseSeries(dst)
}

// AppendLabel appends a label and a comma.
func AppendLabel(dst, name, value []byte) []byte {
	dst = exposition.AppendLabelName(dst, view(name))
	dst = append(dst, `="`...)
	dst = exposition.AppendLabelValue(dst, view(value))
	return append(dst, `",`...)
}

// CloseSeries puts a brace in place of the last comma.
func CloseSeries(dst []byte) []byte {
	dst[len(dst)-1] = '}'
	return dst
}

// view is a string of the same bytes, for a callee that keeps nothing of it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

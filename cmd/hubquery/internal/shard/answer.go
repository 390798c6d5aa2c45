package shard

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"unsafe"

	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// ErrHistograms says that an answer has native histograms, which the query API writes as
// buckets with bounds and not as they were.
var ErrHistograms = errors.New("the answer has native histograms")

// Budget is how many samples a query may still bring here, over all shards.
type Budget struct {
	most int
	left atomic.Int64
}

// NewBudget allows so many samples.
func NewBudget(samples int) *Budget {
	b := &Budget{most: samples}
	b.left.Store(int64(samples))
	return b
}

// Taken returns how many samples were taken.
func (b *Budget) Taken() int { return b.most - int(b.left.Load()) }

// Take takes n samples and fails with promql.ErrTooManySamples where they are not left.
func (b *Budget) Take(n int) error {
	if b.left.Add(int64(-n)) < 0 {
		return promql.ErrTooManySamples("query execution")
	}
	return nil
}

// answer is what the query API says.
type answer struct {
	status, errorType, message string
	kind                       string   // vector or matrix
	warnings                   []string // and infos, which say by their text that they are
	series                     []promql.Series
}

const (
	readAhead = 16 << 10
	takeEvery = 1 << 10 // points of a series between two looks at the budget
	mostSaid  = 100     // warnings of one answer
	mostMS    = 1 << 53 // milliseconds that a float64 can tell apart
)

var errCut = errors.New("the answer ends early")

// read reads an answer to a query, instant or range. It does so by hand, since one
// may have millions of samples, and a tree of their JSON is ten times as large.
func read(body io.Reader, budget *Budget) (*answer, error) {
	it := iterators.Get().(*jsoniter.Iterator)
	it.Reset(body)
	it.Error = nil
	defer func() {
		it.Reset(nil)
		iterators.Put(it)
	}()
	r := reader{it: it, budget: budget}
	r.object(func(field string) {
		switch field {
		case "status":
			r.status = r.it.ReadString()
		case "errorType":
			r.errorType = r.it.ReadString()
		case "error":
			r.message = r.it.ReadString()
		case "warnings", "infos":
			for r.it.ReadArray() {
				if text := r.it.ReadString(); len(r.warnings) < mostSaid {
					r.warnings = append(r.warnings, text)
				}
			}
		case "data":
			r.data()
		default:
			r.it.Skip()
		}
	})
	err := r.err
	switch {
	case err != nil:
	case errors.Is(r.it.Error, io.EOF):
		err = errCut
	case r.it.Error != nil:
		err = r.it.Error
	case r.status == "success" && !r.there:
		err = errors.New("the answer has no data")
	}
	if err != nil {
		if errors.Is(err, ErrHistograms) || isTooMany(err) {
			return nil, err
		}
		return nil, fmt.Errorf("not an answer of the query API: %w", err)
	}
	return &r.answer, nil
}

// iterators keep their buffers, which most answers are smaller than.
var iterators = sync.Pool{New: func() any { return jsoniter.Parse(jsoniter.ConfigDefault, nil, readAhead) }}

type reader struct {
	answer
	it      *jsoniter.Iterator
	points  []promql.FPoint // of one series
	budget  *Budget
	builder labels.ScratchBuilder
	there   bool // the result
	err     error
}

// object has field read each field of an object, until one fails.
func (r *reader) object(field func(name string)) {
	if r.it.WhatIsNext() != jsoniter.ObjectValue {
		if r.it.Error == nil {
			r.fail(errors.New("there is something else where an object should be"))
		}
		return
	}
	r.it.ReadObjectCB(func(it *jsoniter.Iterator, name string) bool {
		field(name)
		return r.err == nil && (it.Error == nil)
	})
}

func (r *reader) data() {
	if r.it.WhatIsNext() == jsoniter.NilValue { // beside an error
		r.it.ReadNil()
		return
	}
	r.object(func(field string) {
		switch field {
		case "resultType":
			r.kind = r.it.ReadString()
		case "result":
			r.result()
		default:
			r.it.Skip()
		}
	})
}

func (r *reader) result() {
	if r.it.WhatIsNext() != jsoniter.ArrayValue || r.there {
		r.fail(errors.New("the result is no list"))
		return
	}
	r.there = true
	for r.it.ReadArray() {
		if r.it.WhatIsNext() != jsoniter.ObjectValue { // a scalar or a string: time and value
			r.fail(errors.New("the answer is no vector or matrix"))
			return
		}
		r.series = append(r.series, r.oneSeries())
		if r.err != nil || r.it.Error != nil {
			return
		}
	}
}

func (r *reader) oneSeries() (s promql.Series) {
	taken := 0
	r.object(func(field string) {
		switch field {
		case "metric":
			r.builder.Reset()
			r.object(func(name string) { r.builder.Add(name, r.it.ReadString()) })
			r.builder.Sort()
			s.Metric = r.builder.Labels()
			if name, twice := s.Metric.HasDuplicateLabelNames(); twice {
				r.fail(fmt.Errorf("a series has the label %.100q twice", name))
			}
		case "value":
			s.Floats = append(s.Floats, r.point())
		case "values":
			points := r.points[:0]
			for r.it.ReadArray() {
				points = append(points, r.point())
				if len(points)-taken >= takeEvery {
					taken += takeEvery
					r.fail(r.budget.Take(takeEvery))
				}
				if r.err != nil || r.it.Error != nil {
					return
				}
			}
			r.points = points
			s.Floats = slices.Clone(points)
		case "histogram", "histograms":
			r.fail(ErrHistograms)
		default:
			r.it.Skip()
		}
	})
	r.fail(r.budget.Take(max(len(s.Floats)-taken, 1))) // a series without points takes memory, too
	return s
}

func (r *reader) point() (p promql.FPoint) {
	if !r.it.ReadArray() {
		r.fail(errors.New("a point has no time"))
		return p
	}
	t := r.it.ReadFloat64() * 1000
	if !r.it.ReadArray() || math.IsNaN(t) || math.Abs(t) > mostMS {
		r.fail(errors.New("a point is not a time and a value"))
		return p
	}
	text := r.it.ReadStringAsSlice()
	// The text is gone with the next read, and ParseFloat keeps nothing of it.
	v, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	switch {
	case r.it.Error != nil:
	case err != nil:
		r.fail(fmt.Errorf("a value is no number: %.100q", text))
	case r.it.ReadArray():
		r.fail(errors.New("a point has more than a time and a value"))
	}
	return promql.FPoint{T: int64(math.Round(t)), F: v}
}

// fail notes the first fault. One that the iterator has found stands before those that follow from it.
func (r *reader) fail(err error) {
	if r.err == nil && err != nil && (r.it.Error == nil || isTooMany(err)) {
		r.err = err
	}
}

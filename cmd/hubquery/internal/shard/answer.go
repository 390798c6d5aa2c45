package shard

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"sync/atomic"

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
	warnings                   []string
	series                     []promql.Series
}

const readAhead = 16 << 10

// read reads an answer to a query, instant or range. It does so by hand, since one
// may have millions of samples, and a tree of their JSON is ten times as large.
func read(body io.Reader, budget *Budget) (*answer, error) {
	it := jsoniter.Parse(jsoniter.ConfigDefault, body, readAhead)
	r := reader{it: it, budget: budget}
	a := &answer{}
	for field := it.ReadObject(); field != ""; field = it.ReadObject() {
		switch field {
		case "status":
			a.status = it.ReadString()
		case "errorType":
			a.errorType = it.ReadString()
		case "error":
			a.message = it.ReadString()
		case "warnings":
			for it.ReadArray() {
				a.warnings = append(a.warnings, it.ReadString())
			}
		case "data":
			a.series = r.data()
		default:
			it.Skip()
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	if it.Error != nil { // io.EOF, too: it ends in the middle
		return nil, fmt.Errorf("not an answer of the query API: %w", it.Error)
	}
	return a, nil
}

type reader struct {
	it      *jsoniter.Iterator
	budget  *Budget
	builder labels.ScratchBuilder
	err     error
}

func (r *reader) data() (series []promql.Series) {
	for field := r.it.ReadObject(); field != ""; field = r.it.ReadObject() {
		if field != "result" {
			r.it.Skip()
			continue
		}
		for r.it.ReadArray() {
			if r.it.WhatIsNext() != jsoniter.ObjectValue { // a scalar or a string: time and value
				r.fail(errors.New("the answer is no vector or matrix"))
				return nil
			}
			series = append(series, r.series())
			if r.err != nil || r.it.Error != nil {
				return nil
			}
		}
	}
	return series
}

func (r *reader) series() (s promql.Series) {
	for field := r.it.ReadObject(); field != ""; field = r.it.ReadObject() {
		switch field {
		case "metric":
			r.builder.Reset()
			for name := r.it.ReadObject(); name != ""; name = r.it.ReadObject() {
				r.builder.Add(name, r.it.ReadString())
			}
			r.builder.Sort()
			s.Metric = r.builder.Labels()
		case "value":
			s.Floats = append(s.Floats, r.point())
		case "values":
			for r.it.ReadArray() {
				s.Floats = append(s.Floats, r.point())
				if r.err != nil || r.it.Error != nil {
					return s
				}
			}
		case "histogram", "histograms":
			r.fail(ErrHistograms)
			return s
		default:
			r.it.Skip()
		}
	}
	r.fail(r.budget.Take(len(s.Floats)))
	return s
}

func (r *reader) point() promql.FPoint {
	r.it.ReadArray()
	t := r.it.ReadFloat64()
	r.it.ReadArray()
	v, err := strconv.ParseFloat(r.it.ReadString(), 64)
	if err != nil && r.it.Error == nil {
		r.fail(fmt.Errorf("a value is no number: %w", err))
	}
	if r.it.ReadArray() {
		r.fail(errors.New("a point has more than a time and a value"))
	}
	return promql.FPoint{T: int64(math.Round(t * 1000)), F: v}
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

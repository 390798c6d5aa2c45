package shard

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strings"

	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/util/annotations"
)

// Series reads the raw series of a server between from and to, in milliseconds, sorted by their
// labels, stale markers included.
func (s *Server) Series(ctx context.Context, from, to int64, hints *storage.SelectHints, budget *Budget, matchers ...*labels.Matcher) (storage.SeriesSet, error) {
	if s.kind == VictoriaMetrics {
		return s.export(ctx, from, to, budget, matchers)
	}
	if s.external.Load() == nil { // else its labels would be taken for the series'
		if err := s.learn(ctx); err != nil {
			return nil, err
		}
	}
	q, err := remote.NewSampleAndChunkQueryableClient(s.remote, *s.external.Load(), nil, true, nil).Querier(from, to)
	if err != nil {
		return nil, err
	}
	// It appends to the matchers, and so do others, for their servers, at the same time.
	set := q.Select(ctx, true, hints, slices.Clip(matchers)...)
	if err := set.Err(); err != nil {
		return nil, s.unavailable(ctx, err)
	}
	return &remoteSet{SeriesSet: set, server: s, ctx: ctx}, nil
}

// remoteSet says which server broke off.
type remoteSet struct {
	storage.SeriesSet
	server *Server
	ctx    context.Context
}

func (r *remoteSet) Err() error {
	if err := r.SeriesSet.Err(); err != nil {
		return r.server.unavailable(r.ctx, err)
	}
	return nil
}

// export reads the raw series of a VictoriaMetrics, which has no remote read.
func (s *Server) export(ctx context.Context, from, to int64, budget *Budget, matchers []*labels.Matcher) (storage.SeriesSet, error) {
	texts := make([]string, len(matchers))
	for i, m := range matchers {
		texts[i] = m.String()
	}
	body, err := s.Post(ctx, "/api/v1/export", url.Values{
		"match[]": {"{" + strings.Join(texts, ",") + "}"}, "start": {seconds(max(from, 1))}, "end": {seconds(to)}, "max_rows_per_line": {exportedRows},
	})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	series, err := readExport(body, budget)
	if err == nil {
		err = drain(body)
	}
	if isTooMany(err) {
		return nil, err
	}
	if err != nil {
		return nil, s.unavailable(ctx, err)
	}
	return NewSet(series), nil
}

// readExport reads VictoriaMetrics' lines of JSON, one a series or a piece of one.
func readExport(body io.Reader, budget *Budget) ([]promql.Series, error) {
	it := jsoniter.ConfigDefault.BorrowIterator(nil)
	defer jsoniter.ConfigDefault.ReturnIterator(it)
	in := bufio.NewReaderSize(body, 64<<10)
	var pieces []promql.Series
	var line []byte
	for {
		var err error
		if line, err = readLine(in, line[:0]); errors.Is(err, io.EOF) {
			return Union(pieces), nil
		} else if err != nil {
			return nil, err
		}
		it.ResetBytes(line)
		it.Error = nil
		s, err := readPiece(it)
		if err != nil {
			return nil, err
		}
		if err := budget.Take(max(len(s.Floats), 1)); err != nil {
			return nil, err
		}
		pieces = append(pieces, s)
	}
}

const (
	exportedRows  = "10000" // of a line
	mostLineBytes = 16 << 20
)

// readLine appends a line without its end. A last line that has none was cut off.
func readLine(in *bufio.Reader, line []byte) ([]byte, error) {
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull) && len(line) <= mostLineBytes:
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("a line of the export has more than %d bytes", mostLineBytes)
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, errCut
		default:
			return nil, err
		}
	}
}

func readPiece(it *jsoniter.Iterator) (s promql.Series, err error) {
	var b labels.ScratchBuilder
	var values []float64
	var times []int64
	if it.WhatIsNext() != jsoniter.ObjectValue {
		return s, errors.New("a line of the export is no object")
	}
	it.ReadObjectCB(func(it *jsoniter.Iterator, field string) bool {
		switch field {
		case "metric":
			it.ReadObjectCB(func(it *jsoniter.Iterator, name string) bool {
				b.Add(name, it.ReadString())
				return it.Error == nil
			})
		case "values":
			for it.ReadArray() {
				values = append(values, readValue(it))
			}
		case "timestamps":
			for it.ReadArray() {
				times = append(times, it.ReadInt64())
			}
		default:
			it.Skip()
		}
		return it.Error == nil
	})
	if errors.Is(it.Error, io.EOF) {
		return s, errCut
	}
	if it.Error != nil {
		return s, it.Error
	}
	if len(values) != len(times) {
		return s, fmt.Errorf("a series has %d values and %d times", len(values), len(times))
	}
	b.Sort()
	s.Metric = b.Labels()
	if name, twice := s.Metric.HasDuplicateLabelNames(); twice {
		return s, fmt.Errorf("a series has the label %.100q twice", name)
	}
	for i, t := range times {
		s.Floats = append(s.Floats, promql.FPoint{T: t, F: values[i]})
	}
	slices.SortStableFunc(s.Floats, func(a, b promql.FPoint) int { return cmp.Compare(a.T, b.T) })
	return s, nil
}

// readValue takes null, as markers are written, and infinities, as strings.
func readValue(it *jsoniter.Iterator) float64 {
	switch it.WhatIsNext() {
	case jsoniter.NilValue:
		it.ReadNil()
		return math.Float64frombits(value.StaleNaN)
	case jsoniter.StringValue:
		if strings.HasPrefix(it.ReadString(), "-") {
			return math.Inf(-1)
		}
		return math.Inf(1)
	default:
		return it.ReadFloat64()
	}
}

// Union sorts series by their labels and makes one of those that have the same: of two samples at
// one time the first is kept.
func Union(series []promql.Series) []promql.Series {
	slices.SortStableFunc(series, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
	out := series[:0]
	for _, s := range series {
		if last := len(out) - 1; last >= 0 && labels.Equal(out[last].Metric, s.Metric) {
			out[last].Floats = interleave(out[last].Floats, s.Floats)
			continue
		}
		out = append(out, s)
	}
	return out
}

func interleave(a, b []promql.FPoint) []promql.FPoint {
	all := append(slices.Clip(a), b...)
	slices.SortStableFunc(all, func(x, y promql.FPoint) int { return cmp.Compare(x.T, y.T) })
	return slices.CompactFunc(all, func(x, y promql.FPoint) bool { return x.T == y.T })
}

// NewSet is a set of series that are in memory, sorted by their labels.
func NewSet(series []promql.Series) storage.SeriesSet { return &set{series: series, at: -1} }

type set struct {
	series []promql.Series
	at     int
}

func (s *set) Next() bool         { s.at++; return s.at < len(s.series) }
func (s *set) At() storage.Series { return promql.NewStorageSeries(s.series[s.at]) }
func (*set) Err() error           { return nil }

func (*set) Warnings() annotations.Annotations { return nil }

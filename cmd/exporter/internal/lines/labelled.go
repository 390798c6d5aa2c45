package lines

import (
	"slices"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// Label is a name and a value.
type Label struct{ Name, Value string }

// Labelled is a sink whose series get labels before they go on to another one. It is for one goroutine.
type Labelled struct {
	decode.Sink
	set    []decode.Label
	parser *exposition.SeriesParser

	labels []decode.Label // of a series
	series []byte
}

// NewLabelled returns a sink in front of another one.
func NewLabelled(to decode.Sink) *Labelled {
	return &Labelled{Sink: to, parser: exposition.NewSeriesParser(exposition.DefaultLimits)}
}

// Set says which labels series get from now on: those of which the value is not empty. They take the place of a series' own.
func (l *Labelled) Set(labels ...Label) {
	l.set = l.set[:0]
	for _, one := range labels {
		if one.Value != "" {
			l.set = append(l.set, decode.Label{Name: []byte(one.Name), Value: []byte(one.Value)})
		}
	}
}

// Sample implements decode.Sink.
func (l *Labelled) Sample(series []byte, ms int64, value float64) error {
	series, err := l.with(series)
	if err != nil {
		return err
	}
	return l.Sink.Sample(series, ms, value)
}

// Histogram implements decode.Sink.
func (l *Labelled) Histogram(series []byte, ms int64, message []byte) error {
	series, err := l.with(series)
	if err != nil {
		return err
	}
	return l.Sink.Histogram(series, ms, message)
}

// with is a series with the labels.
func (l *Labelled) with(series []byte) ([]byte, error) {
	if len(l.set) == 0 {
		return series, nil
	}
	s, err := l.parser.Parse(series)
	if err != nil {
		return nil, err
	}
	l.labels = l.labels[:0]
	for name, value := range l.parser.Labels() {
		if !slices.ContainsFunc(l.set, func(one decode.Label) bool { return string(one.Name) == string(name) }) {
			l.labels = append(l.labels, decode.Label{Name: name, Value: value})
		}
	}
	l.labels = append(l.labels, l.set...)
	l.series = decode.AppendSeries(l.series[:0], s.Name, l.labels)
	return l.series, nil
}

package lines

import (
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// Label is a name and a value.
type Label struct{ Name, Value string }

// Labelled is a sink whose series get labels before they go on, those of which the value is not empty. They take the place of a
// series' own.
func Labelled(to decode.Sink, labels ...Label) decode.Sink {
	l := labelled{Sink: to}
	for _, one := range labels {
		if one.Value != "" {
			l.labels = append(l.labels, one)
		}
	}
	if len(l.labels) == 0 {
		return to
	}
	l.parser = exposition.NewSeriesParser(exposition.DefaultLimits)
	return &l
}

type labelled struct {
	decode.Sink
	labels []Label
	parser *exposition.SeriesParser
	series []byte
}

// Sample implements decode.Sink.
func (l *labelled) Sample(series []byte, ms int64, value float64) error {
	series, err := l.with(series)
	if err != nil {
		return err
	}
	return l.Sink.Sample(series, ms, value)
}

// Histogram implements decode.Sink.
func (l *labelled) Histogram(series []byte, ms int64, message []byte) error {
	series, err := l.with(series)
	if err != nil {
		return err
	}
	return l.Sink.Histogram(series, ms, message)
}

// with is a series with the labels.
func (l *labelled) with(series []byte) ([]byte, error) {
	s, err := l.parser.Parse(series)
	if err != nil {
		return nil, err
	}
	l.series = l.series[:0]
	if exposition.ValidMetricName(string(s.Name)) {
		l.series = append(append(l.series, s.Name...), '{')
	} else {
		l.series = append(exposition.AppendName(append(l.series, '{'), string(s.Name)), ',')
	}
	for name, value := range l.parser.Labels() {
		if !l.sets(name) {
			l.series = decode.AppendLabel(l.series, name, value)
		}
	}
	for _, one := range l.labels {
		l.series = decode.AppendLabel(l.series, []byte(one.Name), []byte(one.Value))
	}
	return decode.CloseSeries(l.series), nil
}

func (l *labelled) sets(name []byte) bool {
	for i := range l.labels {
		if l.labels[i].Name == string(name) {
			return true
		}
	}
	return false
}

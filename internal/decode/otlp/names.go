package otlp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/otlptranslator"

	"github.com/hubring/hubring/internal/exposition"
)

// Bounds of what is kept of translated names from one request to the next, and of what one request may add to it.
const (
	maxNames    = 4096 // beyond, they are forgotten all at once
	maxNewNames = 16384
	maxName     = 1024 // bytes
)

// names translates names, and keeps what it has translated. It is for one goroutine.
type names struct {
	cfg      *Config
	metric   otlptranslator.MetricNamer
	label    otlptranslator.LabelNamer
	families map[metricName]*family
	last     *family           // that was asked for
	labels   map[string]*label // by the attribute's name
	byName   map[string]*label // by the label's, so that attributes whose names become the same one share it
	request  uint64            // the one that is read
}

var errNoName = errors.New("it has no name")

// metricName is what a family's name is made of.
type metricName struct {
	name, unit string
	kind       otlptranslator.MetricType
}

// family is a metric's name as Prometheus has it.
type family struct {
	of   metricName
	next *family // that was asked for behind it last time, since resources have mostly the same metrics in the same order

	name    []byte
	classic bool // it needs no quotes
	err     error

	said uint64 // the last request in which its type and its help were said
	kind []byte
	help []byte // part of that request
}

// label is an attribute's name as Prometheus has it.
type label struct {
	head string // of its text, up to the value
	name string
	err  error

	point uint64 // the last point that has it as an attribute
	fixed uint64 // the last scope, or the last kind of points, that sets it whatever the attributes say
}

func newNames(cfg *Config) *names {
	strategy := otlptranslator.TranslationStrategyOption(cfg.Strategy)
	return &names{
		cfg:      cfg,
		metric:   otlptranslator.NewMetricNamer("", strategy),
		label:    otlptranslator.LabelNamer{UTF8Allowed: !strategy.ShouldEscape()},
		families: map[metricName]*family{},
		last:     &family{},
		labels:   map[string]*label{},
		byName:   map[string]*label{},
	}
}

// begin makes room for what another request brings.
func (n *names) begin() {
	n.request++
	if len(n.families) > maxNames {
		clear(n.families)
		n.last = &family{}
	}
	if len(n.labels) > maxNames {
		clear(n.labels)
		clear(n.byName)
	}
}

// family is the one of a metric.
func (n *names) family(name, unit []byte, kind otlptranslator.MetricType) *family {
	key := metricName{view(name), view(unit), kind}
	if f := n.last.next; f != nil && f.of == key {
		n.last = f
		return f
	}
	if f := n.families[key]; f != nil {
		n.last.next, n.last = f, f
		return f
	}
	if size := len(name) + len(unit); size > maxName {
		return &family{err: fmt.Errorf("its name and unit have %d bytes, the limit is %d", size, maxName)}
	}
	key.name, key.unit = string(name), string(unit)
	f := &family{of: key}
	translated, err := n.metric.Build(otlptranslator.Metric{Name: key.name, Unit: key.unit, Type: kind})
	if f.err = err; err == nil && translated == "" {
		f.err = errNoName
	}
	f.name, f.classic = []byte(translated), exposition.ValidMetricName(translated)
	if len(n.families) <= maxNewNames {
		n.families[key] = f
		n.last.next, n.last = f, f
	}
	return f
}

// labelOf is the label of an attribute. The one that names the gateway keeps its name, since the hub looks for it.
func (n *names) labelOf(key []byte) *label {
	if l := n.labels[view(key)]; l != nil {
		return l
	}
	if len(key) > maxName {
		return &label{err: fmt.Errorf("the name of the attribute %.100q has %d bytes, the limit is %d", key, len(key), maxName)}
	}
	if len(n.labels) > maxNewNames {
		return &label{err: fmt.Errorf("the request has more than %d names of attributes, which is the limit", maxNewNames-maxNames)}
	}
	l := &label{name: string(key)}
	if l.name != n.cfg.Gateway {
		l.name, l.err = n.label.Build(l.name)
	}
	if same := n.byName[l.name]; l.err == nil && same != nil {
		l = same
	} else if l.err == nil {
		l.head = string(exposition.AppendLabelName(nil, l.name)) + `="`
		n.byName[l.name] = l
	}
	n.labels[string(key)] = l
	return l
}

// appendHead appends what a series begins with, up to its labels, of which there is at least one.
func (f *family) appendHead(dst []byte, suffix string) []byte {
	if f.classic {
		return append(append(append(dst, f.name...), suffix...), '{')
	}
	dst = exposition.AppendName(append(dst, '{'), string(f.name)+suffix)
	return append(dst, ',')
}

// Strategies are the words for how names are translated, as in Prometheus' own configuration; the first is the default.
var Strategies = []string{
	string(otlptranslator.UnderscoreEscapingWithSuffixes), string(otlptranslator.UnderscoreEscapingWithoutSuffixes),
	string(otlptranslator.NoUTF8EscapingWithSuffixes), string(otlptranslator.NoTranslation),
}

func strategies() string { return strings.Join(Strategies, ", ") }

package encode

import (
	"slices"
	"strings"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"

	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/internal/exposition"
)

// labelPlan writes the labels of metrics whose label names are the same: those
// of one family nearly always, and often those of the next. Names are checked,
// sorted and quoted when the plan is made, so that a metric costs no more than
// its values.
type labelPlan struct {
	names  []string      // of the metric's labels, as they come
	fields []field       // sorted by name
	text   []byte        // what the fields refer to
	split  int           // how many fields come before the bound label
	bare   []int         // the metric's labels that the source has, without a value
	why    reason.Reason // not Taken: no metric with these names can be written
	at     string        // the label at fault
	made   bool
}

// field is one label of the text.
type field struct {
	name     string
	value    string // of a label that is not the metric's; or what stands in where it is empty
	index    int    // in the metric's labels; -1 for one that it does not have
	from, to int    // in labelPlan.text: name and opening quote, or all of it
}

// fits reports whether the plan was made for the label names of m.
func (p *labelPlan) fits(m *dto.Metric) bool {
	if !p.made || len(p.names) != len(m.Label) {
		return false
	}
	for i, l := range m.Label {
		if l.GetName() != p.names[i] {
			return false
		}
	}
	return true
}

// make makes the plan for the label names of m. The labels that the source sets
// take the place of m's own, and common ones are for what has none of the name. bound is the
// label that the family's kind adds.
func (p *labelPlan) make(m *dto.Metric, src *source, common Labels, bound string) {
	p.reset()
	p.made = true
	for i, l := range m.Label {
		name := l.GetName()
		p.names = append(p.names, name)
		value, set := src.value(name)
		switch {
		case set && value == "":
			p.bare = append(p.bare, i)
			continue
		case set:
			continue
		case !exposition.ValidLabelName(name), name == "__name__":
			p.why, p.at = reason.InvalidLabelName, name
		case name == bound:
			p.why, p.at = reason.ReservedLabel, name
		}
		p.fields = append(p.fields, field{name: name, index: i})
	}
	for _, l := range src.labels() {
		if l.value != "" {
			p.fields = append(p.fields, field{name: l.name, value: l.value, index: -1})
		}
	}
	for _, l := range common {
		p.add(l)
	}
	if len(p.fields) >= exposition.DefaultLimits.Labels && p.why == reason.Taken { // one is left for the bound
		p.why = reason.TooManyLabels
	}
	slices.SortFunc(p.fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	for i := range p.fields {
		f := &p.fields[i]
		if i > 0 && p.fields[i-1].name == f.name && p.why == reason.Taken {
			p.why, p.at = reason.DuplicateLabel, f.name
		}
		if f.name < bound {
			p.split = i + 1
		}
		f.from = len(p.text)
		p.text = append(p.text, f.name...)
		p.text = append(p.text, '=', '"')
		if f.index < 0 {
			p.text = exposition.AppendLabelValue(p.text, f.value)
			p.text = append(p.text, '"')
		}
		f.to = len(p.text)
	}
}

// add adds a label that all metrics have, unless there is one of the name.
func (p *labelPlan) add(l label) {
	for i := range p.fields {
		f := &p.fields[i]
		if f.name != l.name {
			continue
		}
		if f.index >= 0 {
			f.value = l.value // where the metric's is empty, which is none
		}
		return
	}
	p.fields = append(p.fields, field{name: l.name, value: l.value, index: -1})
}

// reset forgets the plan, and with it the caller's strings.
func (p *labelPlan) reset() {
	clear(p.names)
	clear(p.fields)
	*p = labelPlan{names: p.names[:0], fields: p.fields[:0], text: p.text[:0], bare: p.bare[:0]}
}

// append writes the labels of m, whose names the plan fits, separated by commas.
// split is where in dst the bound label belongs: what follows begins with a
// comma, unless nothing comes before. A label with an empty value is the same as
// none and is left out, so that a series has one spelling.
func (p *labelPlan) append(dst []byte, m *dto.Metric) (out []byte, split int, why reason.Reason, at string) {
	start := len(dst)
	split = start
	for _, i := range p.bare {
		if m.Label[i].GetValue() != "" {
			return dst, split, reason.EmptyContext, p.names[i]
		}
	}
	for i := range p.fields {
		f := &p.fields[i]
		value := ""
		if f.index >= 0 {
			if value = m.Label[f.index].GetValue(); value == "" {
				value = f.value
			}
			if value == "" {
				continue
			}
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, p.text[f.from:f.to]...)
		if f.index >= 0 {
			switch {
			case plain(value):
				dst = append(dst, value...)
			case validText(value):
				dst = exposition.AppendLabelValue(dst, value)
			default:
				return dst, split, reason.InvalidLabelValue, f.name
			}
			dst = append(dst, '"')
		}
		if i < p.split {
			split = len(dst)
		}
	}
	return dst, split, p.why, p.at
}

// validText reports whether a label value or help text can be sent: a NUL byte
// ends a text for Prometheus' scanner.
func validText(v string) bool { return utf8.ValidString(v) && strings.IndexByte(v, 0) < 0 }

// unplain has what plain refuses.
var unplain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= utf8.RuneSelf || c == '\\' || c == '"' || c == '\n' || c == 0
	}
	return t
}()

// plain reports whether a label value is its own escaped form: ASCII without
// backslash, quote, line feed and NUL.
func plain(v string) bool {
	for i := range len(v) {
		if unplain[v[i]] {
			return false
		}
	}
	return true
}

// validSource reports the label of the source whose value is not valid, if
// there is one.
func validSource(src *source) (reason.Reason, string) {
	for _, l := range src.labels() {
		if !validText(l.value) {
			return reason.InvalidLabelValue, l.name
		}
	}
	return reason.Taken, ""
}

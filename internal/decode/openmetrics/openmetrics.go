package openmetrics

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// Read brings the lines of a body to a sink. One that is whole has to end with # EOF, by which a reader sees that nothing was cut off; pushes of
// client_golang lack it. Errors name the line. Blank lines, other comments and lines that end in "\r\n" are passed over or taken, as in the text format.
func Read(body []byte, whole bool, to decode.Sink) error {
	r := reader{to: to}
	body = slices.Clip(body) // lines know how much follows them by their capacity
	for !r.ended && len(body) > 0 {
		r.line++
		line, rest, _ := bytes.Cut(body, newline)
		if err := r.read(bytes.TrimSuffix(line, carriageReturn)); err != nil {
			return r.wrong(err)
		}
		body = rest
	}
	if err := r.passExemplar(); err != nil {
		return r.wrong(err)
	}
	switch {
	case len(body) > 0:
		r.line++
		return r.wrong(errors.New("something follows # EOF"))
	case whole && !r.ended:
		return r.wrong(errors.New("the body does not end with # EOF behind it"))
	}
	return nil
}

var newline, carriageReturn = []byte{'\n'}, []byte{'\r'}

// reader reads one body.
type reader struct {
	to    decode.Sink
	line  int  // its number
	ended bool // by # EOF

	family family
	last   sample // of the last line, if that was one whose start may be told
	// exemplar is that of the last sample, which waits: the sample's start comes first.
	exemplar []byte
	name     []byte // scratch space
}

// sample is a series by its name and what follows it; the name is empty where it stands in the braces.
type sample struct{ name, labels []byte }

func (r *reader) wrong(err error) error { return fmt.Errorf("line %d: %w", r.line, err) }

func (r *reader) read(line []byte) error {
	switch {
	case len(line) == 0:
		return nil
	case line[0] == '#':
		r.last = sample{}
		return r.comment(line)
	}
	return r.sample(line)
}

// comment reads a line that begins with #.
func (r *reader) comment(line []byte) error {
	if string(line) == "# EOF" {
		r.ended = true
		return nil
	}
	keyword, rest, found := bytes.Cut(bytes.TrimPrefix(line, []byte("# ")), []byte{' '})
	if !found {
		return nil
	}
	switch string(keyword) {
	case "TYPE", "HELP", "UNIT":
	default:
		return nil
	}
	name, text, err := cutName(rest)
	if err != nil {
		return fmt.Errorf("%s line: %w", keyword, err)
	}
	if !bytes.Equal(name, r.family.name) {
		r.family = family{name: name}
	}
	switch r.family.said = false; keyword[0] {
	case 'T':
		r.family.kind = kindOf(text)
	case 'H':
		if err := exposition.CheckText(text); err != nil {
			return fmt.Errorf("HELP line of %.100q: %w", name, err)
		}
		r.family.help = text
	default:
		return checkUnit(name, text)
	}
	return nil
}

// cutName is the metric name at the start of b, which may stand in quotes, and what follows the blank behind it.
func cutName(b []byte) (name, rest []byte, err error) {
	if len(b) == 0 || b[0] != '"' {
		name, rest, _ = bytes.Cut(b, []byte{' '})
		if !exposition.ValidMetricName(string(name)) {
			return nil, nil, fmt.Errorf("%.100q is not a metric name", name)
		}
		return name, rest, nil
	}
	name, rest, err = cutQuoted(b)
	if err == nil && (len(name) == 0 || len(rest) > 0 && rest[0] != ' ') {
		err = fmt.Errorf("%.100q is not a metric name", b)
	}
	return name, bytes.TrimPrefix(rest, []byte{' '}), err
}

// cutQuoted is what stands in the quotes at the start of b, without escapes, and what follows them.
func cutQuoted(b []byte) (text, rest []byte, err error) {
	end := 1
	for end < len(b) && b[end] != '"' {
		if b[end] == '\\' {
			end++
		}
		end++
	}
	if len(b) == 0 || b[0] != '"' || end >= len(b) {
		return nil, nil, fmt.Errorf("%.100q is not in quotes", b)
	}
	text = unescaped(b[1:end])
	return text, b[end+1:], exposition.CheckText(text)
}

func unescaped(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	return []byte(exposition.UnescapeLabelValue(string(b)))
}

func checkUnit(name, unit []byte) error {
	if base, is := bytes.CutSuffix(name, unit); len(unit) > 0 && (!is || !bytes.HasSuffix(base, []byte{'_'})) {
		return fmt.Errorf("the unit %.100q is not the end of the name %.100q", unit, name)
	}
	return nil
}

// sample reads a line that is a sample.
func (r *reader) sample(line []byte) error {
	n, err := exposition.SeriesLen(line)
	if err != nil {
		return err
	}
	series := line[:n]
	value, ms, rest, ok := plain(line, n)
	if !ok {
		if value, ms, rest, err = numbers(series, line[n:]); err != nil {
			return err
		}
	}
	stamp, after := token(rest)
	if len(stamp) > 0 && string(stamp) != "#" {
		return fmt.Errorf("series %.100q: %.40q follows where an exemplar may be, or nothing", series, stamp)
	}
	before := r.last
	r.last = sample{}
	if counted[r.family.kind] != "" {
		r.last = sampleOf(series)
	}
	if start, is := r.family.start(r.last, before, value); is {
		if err := r.to.Start(start); err != nil {
			return err
		}
		return r.passExemplar()
	}
	if err := r.passExemplar(); err != nil {
		return err
	}
	if !r.family.said {
		if err := r.say(); err != nil {
			return err
		}
	}
	if err := r.to.Sample(series, ms, value); err != nil {
		return err
	}
	if len(stamp) > 0 {
		if r.exemplar, err = appendExemplar(r.exemplar, after); err != nil {
			return fmt.Errorf("exemplar of series %.100q: %w", series, err)
		}
	}
	return nil
}

// sampleOf is the sample of a series.
func sampleOf(series []byte) sample {
	if series[len(series)-1] != '}' {
		return sample{name: series}
	}
	i := bytes.IndexByte(series, '{')
	return sample{series[:i], series[i:]}
}

// plain reads what nearly always follows a series, from place n of a line on: a blank, a decimal without an exponent, and perhaps a time of no more
// decimals than milliseconds have. It returns false where there is anything else, or the body ends soon.
func plain(line []byte, n int) (value float64, ms int64, rest []byte, ok bool) {
	body := line[:cap(line)] // what follows the line is looked at, too, and not taken
	if n == len(line) || line[n] != ' ' {
		return 0, 0, nil, false
	}
	value, end := exposition.Decimal(body[n+1:])
	if end == 0 {
		return 0, 0, nil, false
	}
	at := n + 1 + end
	if at == len(line) {
		return value, decode.NoTime, nil, true
	}
	seconds, end := exposition.Whole(body[at+1:])
	if body[at] != ' ' || end == 0 || end > 12 {
		return 0, 0, nil, false
	}
	ms = int64(seconds) * 1000
	if at += 1 + end; body[at] == '.' {
		part, end := exposition.Whole(body[at+1:])
		if end == 0 || end > 3 {
			return 0, 0, nil, false
		}
		ms += int64(part) * [...]int64{0, 100, 10, 1}[end]
		at += 1 + end
	}
	if at < len(line) && line[at] != ' ' {
		return 0, 0, nil, false
	}
	return value, ms, line[at:], true
}

// numbers reads what follows a series, whatever it is: a value and perhaps a time.
func numbers(series, b []byte) (value float64, ms int64, rest []byte, err error) {
	number, rest := token(b)
	value, err = exposition.ParseFloat(number)
	if err != nil {
		if len(number) == 0 {
			return 0, 0, nil, fmt.Errorf("series %.100q has no value", series)
		}
		return 0, 0, nil, fmt.Errorf("value %.40q of series %.100q is %w", number, series, err)
	}
	stamp, after := token(rest)
	if len(stamp) == 0 || stamp[0] == '#' {
		return value, decode.NoTime, rest, nil
	}
	if ms, err = milliseconds(stamp); err != nil {
		return 0, 0, nil, fmt.Errorf("timestamp %.40q of series %.100q is %w", stamp, series, err)
	}
	return value, ms, after, nil
}

// token is what comes up to the next blank, after any blanks, and what follows.
func token(b []byte) (token, rest []byte) {
	i := 0
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	from := i
	for i < len(b) && b[i] != ' ' && b[i] != '\t' {
		i++
	}
	return b[from:i], b[i:]
}

// passExemplar brings the exemplar of the last sample.
func (r *reader) passExemplar() error {
	if len(r.exemplar) == 0 {
		return nil
	}
	err := r.to.Exemplar(r.exemplar)
	r.exemplar = r.exemplar[:0]
	return err
}

// say says what is known of the family whose first sample comes.
func (r *reader) say() error {
	f := &r.family
	f.said = true
	r.name = append(r.name[:0], f.name...)
	if suffix := suffixes[f.kind]; !bytes.HasSuffix(f.name, []byte(suffix)) {
		r.name = append(r.name, suffix...)
	}
	if f.kind != unsaid {
		if err := r.to.Type(r.name, words[f.kind]); err != nil {
			return err
		}
	}
	if len(f.help) == 0 {
		return nil
	}
	return r.to.Help(r.name, unescaped(f.help))
}

var errTime = errors.New("not a time in seconds")

// milliseconds reads a time in seconds.
func milliseconds(b []byte) (int64, error) {
	seconds, err := exposition.ParseFloat(b)
	const beyond = math.MaxInt64 / 10_000
	if err != nil || !(math.Abs(seconds) < beyond) {
		return 0, errTime
	}
	return inMilliseconds(seconds), nil
}

// inMilliseconds rounds, since few times with decimals are floats exactly.
func inMilliseconds(seconds float64) int64 { return int64(math.Round(seconds * 1000)) }

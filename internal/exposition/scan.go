package exposition

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Kind says what a Scanner found on a line.
type Kind int

const (
	// End is the end of the body, or of what could be read: see Scanner.Err.
	End Kind = iota
	// Sample is a line with a series, a number and perhaps a timestamp.
	Sample
	// Type is a TYPE line.
	Type
	// Help is a HELP line.
	Help
	// Repeated is a TYPE or HELP line that the caller knew, to the letter.
	Repeated
)

// Scanner reads a body line by line and in place: what it returns are parts of
// the body (but a name that has escapes). It passes over blank lines and comments,
// takes lines that end in "\r\n" and a last line without an end. It is for one
// goroutine.
type Scanner struct {
	body []byte
	pos  int // of the next byte to read
	line int // number of the line that was read last, from 1
	err  error

	from, to  int // where the spelling lies
	guessed   bool
	value     float64
	timestamp int64
	stamped   bool
	name      []byte
	text      []byte
	unescaped []byte // what name refers to where it has escapes

	unknownTypes int
}

// Reset makes s read body from its first line.
func (s *Scanner) Reset(body []byte) { *s = Scanner{body: body, unescaped: s.unescaped} }

// Err returns what was wrong with the body: "line N: reason", or nil.
func (s *Scanner) Err() error { return s.err }

// Line returns the number of the line that was read last, from 1.
func (s *Scanner) Line() int { return s.line }

// Spelling returns the series of a Sample, or the whole line of a Type or Help,
// as the sender wrote it.
func (s *Scanner) Spelling() []byte { return s.body[s.from:s.to] }

// Rest returns what was not read yet.
func (s *Scanner) Rest() []byte { return s.body[min(s.pos, len(s.body)):] }

// Guessed says whether the series of a Sample is the one that the caller knew.
func (s *Scanner) Guessed() bool { return s.guessed }

// Value returns the number of a Sample.
func (s *Scanner) Value() float64 { return s.value }

// Timestamp returns the time of a Sample in milliseconds since the epoch, and
// whether it has one.
func (s *Scanner) Timestamp() (ms int64, ok bool) { return s.timestamp, s.stamped }

// Name returns the name of the family that a Type or Help is about, without quotes
// and escapes. It is valid until the next line is read.
func (s *Scanner) Name() []byte { return s.name }

// Text returns the type that a Type names, untyped where the word is none, or the text
// of a Help with its escapes.
func (s *Scanner) Text() []byte { return s.text }

// UnknownTypes is how many Types were read whose word is no type.
func (s *Scanner) UnknownTypes() int { return s.unknownTypes }

// Next reads the next line that says something. A caller who knows that the rest begins
// with a certain spelling gives its length, which saves the search for the end of the
// series; others give 0. After End, Err tells whether the whole body was read.
func (s *Scanner) Next(known int) Kind {
	for s.err == nil && s.pos < len(s.body) {
		s.line++
		if known > 0 {
			if kind := s.scanGuessed(s.pos + known); kind != End || s.err != nil {
				return kind
			}
			known = 0 // it was about this line
		}
		switch s.body[s.pos] {
		case '\n':
			s.pos++
		case '#', ' ', '\t', '\r':
			if kind := s.scanUnusual(); kind != End {
				return kind
			}
		default:
			return s.scanSample()
		}
	}
	return End
}

// scanGuessed reads a line that begins with a spelling, up to a place, and returns End
// when it only began so.
func (s *Scanner) scanGuessed(after int) Kind {
	if s.body[s.pos] == '#' {
		if after < len(s.body) && s.body[after] != '\n' {
			return End
		}
		s.pos = min(after+1, len(s.body))
		return Repeated
	}
	if s.body[after-1] != '}' {
		// A name alone: one blank and no labels must follow.
		next := after + 1
		if next >= len(s.body) || s.body[after] != ' ' || s.body[next] <= ' ' || s.body[next] == '{' {
			return End
		}
	}
	s.from, s.to = s.pos, after
	s.guessed = true
	s.pos = after
	return s.scanNumbers()
}

// scanSample reads a line that begins with a series.
func (s *Scanner) scanSample() Kind {
	n, err := SeriesLen(s.body[s.pos:])
	if err != nil {
		return s.fail(err)
	}
	s.from, s.to = s.pos, s.pos+n
	s.guessed = false
	s.pos += n
	return s.scanNumbers()
}

// NumberRoom is more than the bytes that are looked at to read a number and a timestamp quickly.
const NumberRoom = 64

// scanPlain reads what nearly always follows the series: a blank, a decimal without
// an exponent, perhaps a blank and a timestamp, and a line feed. It returns false,
// and reads nothing, when there is anything else or the body ends soon.
func (s *Scanner) scanPlain() bool {
	if len(s.body)-s.pos < NumberRoom || s.body[s.pos] != ' ' {
		return false
	}
	b := (*[NumberRoom]byte)(s.body[s.pos:])
	value, i := decimalAt(b, 1)
	if i == 0 {
		return false
	}
	var ms uint64
	stamped := b[i] == ' '
	if stamped {
		var digits int
		ms, digits = digitsAt(b, i+1)
		if i += 1 + digits; digits == 0 || digits >= maxDigits {
			return false
		}
	}
	if b[i] != '\n' {
		return false
	}
	s.value, s.timestamp, s.stamped = value, int64(ms), stamped
	s.pos += i + 1
	return true
}

// scanNumbers reads what follows the series: a number, perhaps a timestamp, and
// the end of the line.
func (s *Scanner) scanNumbers() Kind {
	if s.scanPlain() {
		return Sample
	}
	number := s.token()
	value, err := ParseFloat(number)
	if err != nil {
		if len(number) == 0 {
			return s.fail(fmt.Errorf("series %.100q has no value", s.Spelling()))
		}
		return s.fail(fmt.Errorf("value %.40q of series %.100q is %w", number, s.Spelling(), err))
	}
	s.value, s.stamped, s.timestamp = value, false, 0
	if stamp := s.token(); len(stamp) > 0 {
		if s.timestamp, err = ParseTimestamp(stamp); err != nil {
			return s.fail(fmt.Errorf("timestamp %.40q of series %.100q is %w", stamp, s.Spelling(), err))
		}
		s.stamped = true
		if rest := s.token(); len(rest) > 0 {
			return s.fail(fmt.Errorf("series %.100q: %.40q follows the timestamp", s.Spelling(), rest))
		}
	}
	s.pos++ // the line feed; past the end of a body that lacks the last one
	return Sample
}

// SeriesLen is the length of the series at the start of a line, of which it checks no more: through the
// closing brace, or to the end of the name where there are no labels. A name that
// is not a classic one stands in quotes within the braces.
func SeriesLen(b []byte) (int, error) {
	n := nameLen(b, inMetric)
	i := n
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	switch {
	case i < len(b) && b[i] == '{':
		return bracesEnd(b, i+1)
	case n == 0:
		return 0, fmt.Errorf("%.100q does not begin with a metric name", b[:lineEnd(b, 0)])
	case n < len(b) && b[n] > ' ':
		return 0, fmt.Errorf("metric name %.100q is followed by %q", b[:n], b[n])
	}
	return n, nil
}

// bracesEnd is the position after the closing brace.
func bracesEnd(b []byte, i int) (int, error) {
	for ; i < len(b); i++ {
		switch b[i] {
		case '}':
			return i + 1, nil
		case '\n':
			return 0, errBrace
		case '"':
			end := quoteEnd(b[i+1:])
			if end < 0 {
				return 0, errQuote
			}
			i += end + 1
		}
	}
	return 0, errBrace
}

// quoteEnd is the position of the quote that closes a label value, or -1 when
// the line ends first.
func quoteEnd(b []byte) int {
	for i := plainLen(b); i < len(b); i++ {
		switch b[i] {
		case '"':
			return i
		case '\n':
			return -1
		case '\\':
			i++
			if i < len(b) && b[i] == '\n' {
				return -1
			}
		}
	}
	return -1
}

// token returns the bytes up to the next blank or the end of the line, after
// any blanks. It is empty at the end of the line, where it stays.
func (s *Scanner) token() []byte {
	b, i := s.body, s.pos
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	start := i
	for i < len(b) && b[i] != ' ' && b[i] != '\t' && b[i] != '\n' {
		i++
	}
	s.pos = i
	if i > start && b[i-1] == '\r' && (i == len(b) || b[i] == '\n') {
		i--
	}
	return b[start:i]
}

// scanUnusual reads a line that begins with a blank or is a comment. It returns
// End when the line says nothing.
func (s *Scanner) scanUnusual() Kind {
	start := s.pos
	for start < len(s.body) && (s.body[start] == ' ' || s.body[start] == '\t') {
		start++
	}
	end := lineEnd(s.body, start)
	line := bytes.TrimSuffix(s.body[start:end], []byte{'\r'})
	if len(line) > 0 && line[0] != '#' {
		s.pos = start
		return s.scanSample()
	}
	s.from, s.to = start, start+len(line)
	s.pos = min(end+1, len(s.body))
	return s.scanComment(line)
}

// scanComment reads a line that begins with #, or nothing. As in Prometheus it is
// a mere comment unless a blank, TYPE or HELP, and another blank follow.
func (s *Scanner) scanComment(line []byte) Kind {
	if len(line) < 2 || line[1] != ' ' && line[1] != '\t' {
		return End
	}
	keyword, rest := cutToken(line[1:])
	if len(rest) == 0 {
		return End
	}
	switch string(keyword) {
	case "TYPE":
		return s.scanMetadata(Type, "TYPE", rest)
	case "HELP":
		return s.scanMetadata(Help, "HELP", rest)
	}
	return End
}

// scanMetadata reads what follows TYPE or HELP.
func (s *Scanner) scanMetadata(kind Kind, keyword string, rest []byte) Kind {
	var err error
	if s.name, s.text, err = s.cutName(rest); err != nil {
		return s.fail(fmt.Errorf("%s line: %w", keyword, err))
	}
	s.text = bytes.TrimLeft(s.text, " \t")
	if kind == Type {
		s.text = bytes.TrimRight(s.text, " \t")
		s.text = s.typeWord(s.text)
	} else if err := CheckText(s.text); err != nil {
		return s.fail(fmt.Errorf("HELP line of %s: %w", s.name, err))
	}
	return kind
}

// cutName returns the metric name at the start of b, which may stand in quotes,
// and what follows it.
func (s *Scanner) cutName(b []byte) (name, rest []byte, err error) {
	b = bytes.TrimLeft(b, " \t")
	if len(b) == 0 || b[0] != '"' {
		name, rest = cutToken(b)
		if len(name) == 0 || nameLen(name, inMetric) != len(name) {
			return nil, nil, fmt.Errorf("%.100q is not a metric name", name)
		}
		return name, rest, nil
	}
	end := quoteEnd(b[1:])
	if end < 0 {
		return nil, nil, fmt.Errorf("the name %.100q has no closing quote", b)
	}
	name, rest = b[1:end+1], b[end+2:]
	if len(name) == 0 || len(rest) > 0 && rest[0] != ' ' && rest[0] != '\t' {
		return nil, nil, fmt.Errorf("%.100q is not a metric name", b)
	}
	if err := CheckText(name); err != nil {
		return nil, nil, fmt.Errorf("metric name %.100q: %w", name, err)
	}
	if bytes.IndexByte(name, '\\') >= 0 {
		s.unescaped, _ = appendUnescaped(s.unescaped[:0], name, true)
		name = s.unescaped
	}
	return name, rest, nil
}

func (s *Scanner) fail(err error) Kind {
	s.err = fmt.Errorf("line %d: %w", s.line, err)
	return End
}

// cutToken returns the first token of b and what follows it.
func cutToken(b []byte) (token, rest []byte) {
	b = bytes.TrimLeft(b, " \t")
	if i := bytes.IndexAny(b, " \t"); i >= 0 {
		return b[:i], b[i:]
	}
	return b, nil
}

// lineEnd is the position of the line feed at or after from, or of the end.
func lineEnd(b []byte, from int) int {
	if i := bytes.IndexByte(b[from:], '\n'); i >= 0 {
		return from + i
	}
	return len(b)
}

// typeWord is the word of the format for a type. Other formats have more types, and
// one sender's mistake is no reason to refuse a whole report.
func (s *Scanner) typeWord(t []byte) []byte {
	for _, word := range types {
		if bytes.EqualFold(t, word) {
			return word
		}
	}
	s.unknownTypes++
	return untyped
}

var (
	untyped = []byte("untyped")
	types   = [][]byte{[]byte("counter"), []byte("gauge"), []byte("histogram"), []byte("summary"), untyped}
)

var (
	errUTF8 = errors.New("it is not UTF-8")
	errNUL  = errors.New("it has a NUL byte")
)

// CheckText refuses what a scraper would choke on in a name, a label value or a help text.
func CheckText(b []byte) error {
	if bytes.IndexByte(b, 0) >= 0 {
		return errNUL
	}
	if !utf8.Valid(b) {
		return errUTF8
	}
	return nil
}

// CountSamples counts the lines of a text that are neither blank nor comments, whatever they say.
func CountSamples(text []byte) (n int) {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimLeft(line, " \t\r\n"); len(line) > 0 && line[0] != '#' {
			n++
		}
	}
	return n
}

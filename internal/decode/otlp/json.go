package otlp

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxJSONDepth bounds the objects and arrays around each other.
const maxJSONDepth = 256

// JSONGrowth is how many times longer a request in protobuf may be than the same in JSON: a bucket of two bytes has eight then.
const JSONGrowth = 4

// FromJSON appends a request in JSON as the same request in protobuf. Fields that it does not know are passed over, whatever they have.
func FromJSON(dst, body []byte) ([]byte, error) {
	j := jsonReader{rest: body, dst: dst}
	err := j.object(requestSchema)
	if j.space(); err == nil && len(j.rest) > 0 {
		err = errors.New("something follows the request")
	}
	if err != nil {
		return dst, fmt.Errorf("the body is no ExportMetricsServiceRequest in JSON: at byte %d: %w", len(body)-len(j.rest), err)
	}
	return j.dst, nil
}

// jsonReader reads JSON from the front.
type jsonReader struct {
	rest    []byte
	dst     []byte // the message so far
	depth   int
	scratch []byte // of a string with escapes
}

var (
	errDepth  = fmt.Errorf("more than %d objects and arrays are around each other", maxJSONDepth)
	errString = errors.New("a string is expected")
	errNumber = errors.New("a number is expected")
	errWhole  = errors.New("a whole number within its range is expected")
)

func (j *jsonReader) space() {
	for len(j.rest) > 0 {
		switch j.rest[0] {
		case ' ', '\t', '\n', '\r':
			j.rest = j.rest[1:]
		default:
			return
		}
	}
}

// peek is the next byte behind white space; 0 at the end.
func (j *jsonReader) peek() byte {
	if j.space(); len(j.rest) == 0 {
		return 0
	}
	return j.rest[0]
}

// take takes a byte if it is the next one.
func (j *jsonReader) take(c byte) bool {
	if j.peek() != c {
		return false
	}
	j.rest = j.rest[1:]
	return true
}

// word takes a word if it is the next one.
func (j *jsonReader) word(w string) bool {
	if j.space(); len(j.rest) < len(w) || string(j.rest[:len(w)]) != w {
		return false
	}
	j.rest = j.rest[len(w):]
	return true
}

// each calls read for each part of what is between two brackets.
func (j *jsonReader) each(begin, end byte, read func() error) error {
	if !j.take(begin) {
		return fmt.Errorf("%q is expected", begin)
	}
	if j.depth++; j.depth > maxJSONDepth {
		return errDepth
	}
	defer func() { j.depth-- }()
	if j.take(end) {
		return nil
	}
	for {
		if err := read(); err != nil {
			return err
		}
		if j.take(end) {
			return nil
		}
		if !j.take(',') {
			return fmt.Errorf("%q or ',' is expected", end)
		}
	}
}

// object reads a message.
func (j *jsonReader) object(s schema) error {
	return j.each('{', '}', func() error {
		key, err := j.string()
		if err != nil {
			return err
		}
		f, known := s[view(key)]
		if !known {
			f, known = s[camel(key)]
		}
		if !j.take(':') {
			return errors.New("':' is expected")
		}
		if !known || j.peek() == 'n' {
			return j.skip()
		}
		return j.field(f)
	})
}

// camel is a name in the other form that protobuf has for JSON.
func camel(key []byte) string {
	var b []byte
	for i := 0; i < len(key); i++ {
		if c := key[i]; c != '_' {
			b = append(b, c)
		} else if i++; i < len(key) && 'a' <= key[i] && key[i] <= 'z' {
			b = append(b, key[i]-'a'+'A')
		}
	}
	return string(b)
}

func (j *jsonReader) field(f schemaField) error {
	switch {
	case f.repeated && f.message != nil:
		return j.each('[', ']', func() error { return j.block(f.number, func() error { return j.object(f.message) }) })
	case f.repeated:
		return j.block(f.number, func() error { return j.each('[', ']', func() error { return j.scalar(f.kind) }) })
	case f.message != nil:
		return j.block(f.number, func() error { return j.object(f.message) })
	}
	switch f.kind {
	case aString, aBase64, aHex:
		return j.block(f.number, func() error { return j.scalar(f.kind) })
	case aFixed, aSigned, aDouble:
		j.tag(f.number, fixed64)
	default:
		j.tag(f.number, varint)
	}
	return j.scalar(f.kind)
}

func (j *jsonReader) tag(number, wire uint64) { j.dst = append(j.dst, byte(number<<3|wire)) } // all are below 16

// block appends a field with a length, which is known behind its bytes.
func (j *jsonReader) block(number uint64, write func() error) error {
	j.tag(number, block)
	at := len(j.dst)
	j.dst = append(j.dst, 0)
	if err := write(); err != nil {
		return err
	}
	length := uint64(len(j.dst) - at - 1)
	if n := protowire.SizeVarint(length); n > 1 {
		var room [binary.MaxVarintLen64]byte
		j.dst = slices.Insert(j.dst, at, room[:n-1]...)
	}
	protowire.AppendVarint(j.dst[:at], length)
	return nil
}

// scalar appends a value without its tag.
func (j *jsonReader) scalar(k kind) error {
	switch k {
	case aString:
		text, err := j.string()
		j.dst = append(j.dst, text...)
		return err
	case aBase64, aHex:
		text, err := j.string()
		if err != nil {
			return err
		}
		if k == aHex {
			j.dst, err = hex.AppendDecode(j.dst, text)
			return err
		}
		j.dst, err = base64Of(text).AppendDecode(j.dst, text)
		return err
	case aBool:
		switch {
		case j.word("true"):
			j.dst = append(j.dst, 1)
		case j.word("false"):
			j.dst = append(j.dst, 0)
		default:
			return errors.New("true or false is expected")
		}
		return nil
	case theTotals:
		return j.temporality()
	case aDouble:
		v, err := j.double()
		j.dst = protowire.AppendFixed64(j.dst, math.Float64bits(v))
		return err
	default:
		return j.whole(k)
	}
}

// base64Of is the alphabet of a text, of the two that protobuf has for JSON.
func base64Of(text []byte) *base64.Encoding {
	e := base64.StdEncoding
	if slices.Contains(text, '-') || slices.Contains(text, '_') {
		e = base64.URLEncoding
	}
	if len(text)%4 != 0 {
		e = e.WithPadding(base64.NoPadding)
	}
	return e
}

func (j *jsonReader) temporality() error {
	if j.peek() != '"' {
		return j.whole(aUint)
	}
	word, err := j.string()
	if err != nil {
		return err
	}
	v, known := temporalities[string(word)]
	if !known {
		return fmt.Errorf("%.60q is no temporality", word)
	}
	j.dst = protowire.AppendVarint(j.dst, v)
	return nil
}

// number is the text of a number, in quotes or not.
func (j *jsonReader) number() ([]byte, error) {
	if j.peek() == '"' {
		return j.string()
	}
	n := numberLen(j.rest)
	if n == 0 {
		return nil, errNumber
	}
	text := j.rest[:n]
	j.rest = j.rest[n:]
	return text, nil
}

// numberLen is the length of the number at the front, or 0.
func numberLen(b []byte) int {
	i := 0
	digits := func() bool {
		from := i
		for i < len(b) && '0' <= b[i] && b[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return 0
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return 0
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return 0
		}
	}
	return i
}

func (j *jsonReader) double() (float64, error) {
	text, err := j.number()
	if err != nil {
		return 0, err
	}
	switch string(text) {
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	}
	if numberLen(text) != len(text) || len(text) == 0 {
		return 0, errNumber
	}
	return strconv.ParseFloat(view(text), 64)
}

// whole appends a whole number. JavaScript may write it as 1e21.
func (j *jsonReader) whole(k kind) error {
	text, err := j.number()
	if err != nil {
		return err
	}
	if numberLen(text) != len(text) || len(text) == 0 {
		return errWhole
	}
	var v uint64
	if signed := k == anInt || k == aSint || k == aSigned; signed {
		n, err := strconv.ParseInt(view(text), 10, 64)
		if err != nil {
			f, err := strconv.ParseFloat(view(text), 64)
			if n = int64(f); err != nil || f < -(1<<63) || f >= 1<<63 || float64(n) != f {
				return errWhole
			}
		}
		if k == aSint {
			if n != int64(int32(n)) {
				return errWhole
			}
			n = int64(protowire.EncodeZigZag(n))
		}
		v = uint64(n)
	} else if v, err = strconv.ParseUint(view(text), 10, 64); err != nil {
		f, err := strconv.ParseFloat(view(text), 64)
		if v = uint64(f); err != nil || f < 0 || f >= 1<<64 || float64(v) != f {
			return errWhole
		}
	}
	if k == aFixed || k == aSigned {
		j.dst = protowire.AppendFixed64(j.dst, v)
	} else {
		j.dst = protowire.AppendVarint(j.dst, v)
	}
	return nil
}

// string is a string without its quotes. It may be part of the body, or is there until the next one.
func (j *jsonReader) string() ([]byte, error) {
	if !j.take('"') {
		return nil, errString
	}
	for i, c := range j.rest {
		switch {
		case c == '"':
			s := j.rest[:i]
			j.rest = j.rest[i+1:]
			return s, nil
		case c == '\\':
			j.scratch = append(j.scratch[:0], j.rest[:i]...)
			j.rest = j.rest[i:]
			return j.escaped()
		case c < ' ':
			return nil, errControl
		}
	}
	return nil, errEnd
}

var (
	errControl = errors.New("a string has a control character")
	errEnd     = errors.New("a string has no end")
	errEscape  = errors.New("a string has an escape that there is not")
)

// escaped goes on with a string from its first escape.
func (j *jsonReader) escaped() ([]byte, error) {
	for len(j.rest) > 0 {
		c := j.rest[0]
		j.rest = j.rest[1:]
		switch {
		case c == '"':
			return j.scratch, nil
		case c < ' ':
			return nil, errControl
		case c != '\\':
			j.scratch = append(j.scratch, c)
			continue
		}
		if len(j.rest) == 0 {
			break
		}
		c = j.rest[0]
		j.rest = j.rest[1:]
		switch c {
		case '"', '\\', '/':
			j.scratch = append(j.scratch, c)
		case 'b':
			j.scratch = append(j.scratch, '\b')
		case 'f':
			j.scratch = append(j.scratch, '\f')
		case 'n':
			j.scratch = append(j.scratch, '\n')
		case 'r':
			j.scratch = append(j.scratch, '\r')
		case 't':
			j.scratch = append(j.scratch, '\t')
		case 'u':
			if err := j.unicode(); err != nil {
				return nil, err
			}
		default:
			return nil, errEscape
		}
	}
	return nil, errEnd
}

// unicode reads four digits, and the other half of a pair behind them.
func (j *jsonReader) unicode() error {
	c, ok := hex4(j.rest)
	if !ok {
		return errEscape
	}
	j.rest = j.rest[4:]
	if utf16.IsSurrogate(c) {
		pair := rune(utf8.RuneError)
		if len(j.rest) >= 6 && j.rest[0] == '\\' && j.rest[1] == 'u' {
			if low, ok := hex4(j.rest[2:]); ok {
				pair = utf16.DecodeRune(c, low)
			}
		}
		if c = pair; pair != utf8.RuneError {
			j.rest = j.rest[6:]
		}
	}
	j.scratch = utf8.AppendRune(j.scratch, c)
	return nil
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var two [2]byte
	if _, err := hex.Decode(two[:], b[:4]); err != nil {
		return 0, false
	}
	return rune(binary.BigEndian.Uint16(two[:])), true
}

// skip passes over a value of any kind.
func (j *jsonReader) skip() error {
	switch c := j.peek(); c {
	case '{':
		return j.each('{', '}', func() error {
			if _, err := j.string(); err != nil {
				return err
			}
			if !j.take(':') {
				return errors.New("':' is expected")
			}
			return j.skip()
		})
	case '[':
		return j.each('[', ']', j.skip)
	case '"':
		_, err := j.string()
		return err
	case 't', 'f', 'n':
		if j.word("true") || j.word("false") || j.word("null") {
			return nil
		}
	}
	_, err := j.number()
	return err
}

package exposition

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// read returns what a scanner finds, a string for each thing.
func read(body string, guesses ...string) ([]string, error) {
	var s Scanner
	s.Reset([]byte(body))
	var found []string
	for {
		known := 0
		if len(guesses) > 0 {
			known, guesses = begins(s.Rest(), guesses[0]), guesses[1:]
		}
		switch s.Next(known) {
		case End:
			return found, s.Err()
		case Sample:
			text := fmt.Sprintf("%d %s = %v", s.Line(), s.Spelling(), s.Value())
			if ms, ok := s.Timestamp(); ok {
				text += fmt.Sprintf(" @ %d", ms)
			}
			if s.Guessed() {
				text += " (guessed)"
			}
			found = append(found, text)
		case Type:
			found = append(found, fmt.Sprintf("%d %s is a %s", s.Line(), s.Name(), s.Text()))
		case Help:
			found = append(found, fmt.Sprintf("%d %s: %s", s.Line(), s.Name(), s.Text()))
		case Repeated:
			found = append(found, fmt.Sprintf("%d repeated", s.Line()))
		}
	}
}

func TestScannerReads(t *testing.T) {
	f := func(body string, want ...string) {
		t.Helper()
		found, err := read(body)
		require.NoError(t, err, "%q", body)
		assert.Equal(t, want, found, "%q", body)
	}
	f("")
	f("\n\n  \n\t\n# a comment\n#\n# EOF\n")
	f("x 1\n", "1 x = 1")
	f("x 1", "1 x = 1")
	f("x 1\r\ny 2 5\r\n", "1 x = 1", "2 y = 2 @ 5")
	f("  x\t 1 \t-5  \n", "1 x = 1 @ -5")
	f("x{} 1", "1 x{} = 1")
	f(`x{a="b"} 1 2`, `1 x{a="b"} = 1 @ 2`)
	f(`x{a="b"}1`, `1 x{a="b"} = 1`)
	f(`x {a="b"} 1`, `1 x {a="b"} = 1`)
	f(`x{a="} # \"{"} 1`, `1 x{a="} # \"{"} = 1`)
	f("x NaN\nx +Inf\nx -inf\nx 1e3\n", "1 x = NaN", "2 x = +Inf", "3 x = -Inf", "4 x = 1000")
	f("# TYPE x counter\n# HELP x two  words \n #\tTYPE  y  gauge \nx 1\n",
		"1 x is a counter", "2 x: two  words ", "3 y is a gauge", "4 x = 1")
	f("# HELP x\nx 1", "1 x: ", "2 x = 1")
	f("#TYPE x sort\n# TYPE\n# HELP\n# TYPES x\n# \n \r\n")
	f("# TYPE x counter\r\n# HELP x y\r\nx{a=\"b\"}\t1 2 \r\nx 1\r", "1 x is a counter", "2 x: y", `3 x{a="b"} = 1 @ 2`, "4 x = 1")
}

func TestScannerReadsNamesInQuotes(t *testing.T) {
	f := func(body string, want ...string) {
		t.Helper()
		found, err := read(body)
		require.NoError(t, err, "%q", body)
		assert.Equal(t, want, found, "%q", body)
	}
	f(`{"my.metric"} 1`, `1 {"my.metric"} = 1`)
	f(`  { "my.metric" , a="}" }2 3`, `1 { "my.metric" , a="}" } = 2 @ 3`)
	f("# TYPE \"my.metric\" counter\n# HELP \"my.metric\" what \"it\" is\n# TYPE \"x\" gauge\n# HELP \"x\"",
		"1 my.metric is a counter", `2 my.metric: what "it" is`, "3 x is a gauge", "4 x: ")
	f(`# TYPE "a \"b\"\n\\" counter`, "1 a \"b\"\n\\ is a counter")
}

func TestScannerRefuses(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		_, err := read(body)
		assert.ErrorContains(t, err, want, "%q", body)
	}
	f("x 1\n1x 2\n", "line 2: \"1x 2\" does not begin with a metric name")
	f("x-y 2\n", `line 1: metric name "x" is followed by '-'`)
	f("x\n", `line 1: series "x" has no value`)
	f("x \n", `has no value`)
	f("x one\n", `line 1: value "one" of series "x" is not a number`)
	f("x 0x10\n", "not a number")
	f("x 1_0\n", "not a number")
	f("x 1 2.5\n", `timestamp "2.5" of series "x" is not a timestamp in milliseconds`)
	f("x 1 99999999999999999999\n", "not a timestamp")
	f("x 1 2 3\n", `"3" follows the timestamp`)
	f("\n\nx{a=\"b} 1\n", "line 3: a label value has no closing quote")
	f(`x{a="b\`, "no closing quote")
	f("x{a=\"b\" 1\n", "line 1: the labels have no closing brace")
	f("x{a=\"b\\\n\"} 1\n", "no closing quote")
	f(`{"x.y" 1`, "the labels have no closing brace")
	f(`{"x.y} 1`, "no closing quote")
	f("x 1\r2\n", `value "1\r2" of series "x" is not a number`)
	f("x 1\r\r\n", `value "1\r" of series "x" is not a number`)
	f("\rx 1\n", `"\rx 1" does not begin with a metric name`)
	f("# TYPE \"x counter\n", `TYPE line: the name "\"x counter" has no closing quote`)
	f(`# TYPE "" counter`, `is not a metric name`)
	f(`# HELP "x"y z`, `is not a metric name`)
	f("# HELP \"\xff\" y", "HELP line: metric name \"\\xff\": it is not UTF-8")
	f("# TYPE \n", `TYPE line: "" is not a metric name`)
	f("# HELP 1x a\n", `HELP line: "1x" is not a metric name`)
	f("# HELP x \xff\n", "HELP line of x: it is not UTF-8")
	f("# HELP x \x00\n", "HELP line of x: it has a NUL byte")
}

func TestScannerReadsTypes(t *testing.T) {
	f := func(line, want string, unknown int) {
		t.Helper()
		var s Scanner
		s.Reset([]byte(line + "\nx 1\n"))
		require.Equal(t, Type, s.Next(0), "%q: %v", line, s.Err())
		assert.Equal(t, "x", string(s.Name()), "%q", line)
		assert.Equal(t, want, string(s.Text()), "%q", line)
		assert.Equal(t, line, string(s.Spelling()))
		assert.Equal(t, Sample, s.Next(0), "%q", line)
		assert.Equal(t, End, s.Next(0), "%q", line)
		require.NoError(t, s.Err(), "%q", line)
		assert.Equal(t, unknown, s.UnknownTypes(), "%q", line)
	}
	for _, word := range []string{"counter", "gauge", "histogram", "summary", "untyped"} {
		f("# TYPE x "+word, word, 0)
		f("# TYPE x  "+strings.ToUpper(word)+" ", word, 0)
	}
	f("# TYPE x Counter", "counter", 0)
	f("# TYPE x sort", "untyped", 1)
	f("# TYPE x unknown", "untyped", 1)
	f("# TYPE x gaugehistogram", "untyped", 1)
	f("# TYPE x counter gauge", "untyped", 1)
	f("# TYPE x", "untyped", 1)
	f("# TYPE x \xff\x00", "untyped", 1)
}

func TestScannerCountsUnknownTypesOfABody(t *testing.T) {
	var s Scanner
	body := []byte("# TYPE a sort\n# TYPE b GAUGE\n# TYPE c info\n# HELP a sort\na 1\n")
	for range 2 {
		s.Reset(body)
		for s.Next(0) != End {
		}
		require.NoError(t, s.Err())
		assert.Equal(t, 2, s.UnknownTypes())
	}
}

func TestScannerGuesses(t *testing.T) {
	f := func(body, guess, want string) {
		t.Helper()
		found, err := read(body, guess)
		require.NoError(t, err, "%q", body)
		assert.Equal(t, []string{want}, found, "%q", body)
	}
	f(`x{a="b"} 1 2`, `x{a="b"}`, `1 x{a="b"} = 1 @ 2 (guessed)`)
	f(`x{a="b"}1`, `x{a="b"}`, `1 x{a="b"} = 1 (guessed)`)
	f(`x{a="c"} 1`, `x{a="b"}`, `1 x{a="c"} = 1`)
	f("x 1", "x", "1 x = 1 (guessed)")
	f("xy 1", "x", "1 xy = 1")
	f("x  1", "x", "1 x = 1")
	f("x {a=\"b\"} 1", "x", "1 x {a=\"b\"} = 1")
	f("x  {a=\"b\"} 1", "x", "1 x  {a=\"b\"} = 1")
	f(`{"x.y"} 1 2`, `{"x.y"}`, `1 {"x.y"} = 1 @ 2 (guessed)`)
	f("# TYPE x counter\n", "# TYPE x counter", "1 repeated")
	f("# TYPE x counter", "# TYPE x counter", "1 repeated")
	f("# TYPE x counter\r\n", "# TYPE x counter", "1 x is a counter")
	f("# HELP x one two", "# HELP x one", "1 x: one two")
	f("x 1", `longer{than="the rest"}`, "1 x = 1")
}

// Numbers are read in one of two ways, the fast one only where the body goes on for
// a while.
func TestPropertyScannerReadsNumbersAsStrconv(t *testing.T) {
	number := rapid.StringMatching(`[+-]?([0-9]{1,21}(\.[0-9]{0,21})?|\.[0-9]{0,3})(e[0-9])?`)
	stamp := rapid.StringMatching(`( [0-9]{1,20}| -1)?`)
	rapid.Check(t, func(t *rapid.T) {
		text, at := number.Draw(t, "number"), stamp.Draw(t, "timestamp")
		value, err := strconv.ParseFloat(text, 64)
		ms, atErr := int64(0), error(nil)
		if at != "" {
			ms, atErr = strconv.ParseInt(at[1:], 10, 64)
		}
		for _, rest := range []string{"", "\n", "\n#" + strings.Repeat(" ", NumberRoom)} {
			var s Scanner
			s.Reset([]byte("x " + text + at + rest))
			kind := s.Next(0)
			if err != nil || atErr != nil {
				require.Equal(t, End, kind)
				require.Error(t, s.Err())
				continue
			}
			require.NoError(t, s.Err())
			require.Equal(t, math.Float64bits(value), math.Float64bits(s.Value()))
			got, stamped := s.Timestamp()
			require.Equal(t, ms, got)
			require.Equal(t, at != "", stamped)
			require.Equal(t, End, s.Next(0))
			require.NoError(t, s.Err())
		}
	})
}

// Neither the guess nor what follows must ever change what is read, only how.
func FuzzScan(f *testing.F) {
	f.Add([]byte("# TYPE x counter\nx{a=\"b\"} 1 2\nx{a=\"b\"} 1 3\n"), `x{a="b"}`)
	f.Add([]byte("x 1\nx{a=\"\\\"}\"} NaN\n"), "x")
	f.Add([]byte("# HELP x one\n# HELP x one two\n"), "# HELP x one")
	f.Add([]byte(" x  {a=\"\xff\"} 1 \r\n"), "")
	f.Fuzz(func(t *testing.T, body []byte, guess string) {
		if !isSpelling(guess) {
			guess = ""
		}
		plain, plainErr := read(string(body))
		always := make([]string, len(body)+1)
		for i := range always {
			always[i] = guess
		}
		guessed, guessedErr := read(string(body), always...)
		require.Equal(t, fmt.Sprint(plainErr), fmt.Sprint(guessedErr))
		followed, followedErr := read(string(body) + "\n#" + strings.Repeat(" ", NumberRoom))
		require.Equal(t, fmt.Sprint(plainErr), fmt.Sprint(followedErr))
		require.Equal(t, plain, followed)
		require.Len(t, guessed, len(plain))
		for i := range plain {
			if !strings.HasSuffix(guessed[i], "repeated") {
				require.Equal(t, plain[i], strings.TrimSuffix(guessed[i], " (guessed)"))
			}
		}
	})
}

// isSpelling says whether a scanner would return s as a spelling.
func isSpelling(s string) bool {
	var sc Scanner
	if strings.HasPrefix(s, "#") {
		sc.Reset([]byte(s))
		kind := sc.Next(0)
		return (kind == Type || kind == Help) && string(sc.Spelling()) == s
	}
	sc.Reset([]byte(s + " 1"))
	return sc.Next(0) == Sample && string(sc.Spelling()) == s
}

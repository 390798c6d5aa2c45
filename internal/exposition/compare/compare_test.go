package compare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/hubring/hubring/internal/exposition"
)

// sample is what a line says: a number, or a TYPE or HELP line.
type sample struct {
	labels   string // as Prometheus writes them
	value    uint64 // bits
	ms       int64
	timed    bool
	metadata string
}

// ours reads a body as a hub does, and returns the canonical spelling of each
// series or line besides.
func ours(body []byte) (samples []sample, texts []string, err error) {
	var s exposition.Scanner
	s.Reset(body)
	p := exposition.NewSeriesParser(exposition.Limits{})
	for kind := s.Next(0); kind != exposition.End; kind = s.Next(0) {
		if kind != exposition.Sample {
			one, text := described(&s, kind)
			samples, texts = append(samples, one), append(texts, text)
			continue
		}
		series, err := p.Parse(s.Spelling())
		if err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", s.Line(), err)
		}
		ms, timed := s.Timestamp()
		text := string(series.Text)
		l, err := labelsOf(text)
		if err != nil {
			return nil, nil, fmt.Errorf("canonical text %q of %q: %w", text, s.Spelling(), err)
		}
		samples = append(samples, sample{labels: l, value: math.Float64bits(s.Value()), ms: ms, timed: timed})
		texts = append(texts, text)
	}
	return samples, texts, s.Err()
}

// described is a TYPE or HELP line, and how a hub writes it.
func described(s *exposition.Scanner, kind exposition.Kind) (one sample, line string) {
	name := string(s.Name())
	quoted := exposition.AppendName(nil, name)
	if kind == exposition.Type {
		return metadata("TYPE", name, s.Text()), fmt.Sprintf("# TYPE %s %s\n", quoted, s.Text())
	}
	text := exposition.UnescapeHelp(s.Text())
	return metadata("HELP", name, []byte(text)), fmt.Sprintf("# HELP %s %s\n", quoted, exposition.AppendHelp(nil, text))
}

// theirs reads a body as Prometheus does: its parser, and what the scrape loop and
// the storage refuse afterwards.
func theirs(body []byte) ([]sample, error) {
	var samples []sample
	p := textparse.NewPromParser(slices.Clone(body), labels.NewSymbolTable(), false)
	for {
		entry, err := p.Next()
		switch {
		case errors.Is(err, io.EOF):
			return samples, nil
		case err != nil:
			return nil, err
		case entry == textparse.EntryType:
			name, kind := p.Type()
			samples = append(samples, metadata("TYPE", unescape(name), []byte(kind)))
			continue
		case entry == textparse.EntryHelp:
			name, text := p.Help()
			samples = append(samples, metadata("HELP", unescape(name), text))
			continue
		case entry != textparse.EntrySeries:
			continue
		}
		text, at, value := p.Series()
		// Parsed once more by itself, without the TYPE line by which Prometheus writes
		// the numbers in le and quantile anew.
		l, err := labelsOf(string(text))
		if err != nil {
			return nil, err
		}
		one := sample{labels: l, value: math.Float64bits(value), timed: at != nil}
		if at != nil {
			one.ms = *at
		}
		samples = append(samples, one)
	}
}

// metadata is a TYPE or HELP line. Blanks before a help text mean nothing.
func metadata(keyword, name string, text []byte) sample {
	return sample{metadata: fmt.Sprintf("%s %q %q", keyword, name, strings.Replace(strings.TrimLeft(string(text), " \t"), "untyped", "unknown", 1))}
}

// unescape does what Prometheus forgets to do for the names of TYPE and HELP lines.
func unescape(name []byte) string {
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(string(name))
}

// labelsOf returns the labels of a series as Prometheus reads them, in a form that
// is the same for the same labels.
func labelsOf(series string) (string, error) {
	p := textparse.NewPromParser([]byte(series+" 1\n"), labels.NewSymbolTable(), false)
	if _, err := p.Next(); err != nil {
		return "", err
	}
	var l labels.Labels
	p.Labels(&l)
	if name, twice := l.HasDuplicateLabelNames(); twice {
		return "", fmt.Errorf("label %q is there twice", name)
	}
	if !l.IsValid(model.UTF8Validation) {
		return "", fmt.Errorf("invalid name or label: %s", l)
	}
	l = labels.NewBuilder(l).Labels() // without those of empty value
	if !l.Has(model.MetricNameLabel) {
		return "", errors.New("no metric name")
	}
	return l.String(), nil
}

// What is lenient or strict on purpose, as a change of the body after which both
// read the same. Prometheus takes neither of the two lightly: the first fails a scrape,
// and with the second the blanks become part of the name.
var rewrites = []struct {
	name    string
	rewrite func(body []byte) []byte
}{
	{"a line may end in CR LF", func(body []byte) []byte {
		return bytes.ReplaceAll(append(slices.Clone(body), '\n'), []byte("\r\n"), []byte("\n"))
	}},
	{"blanks before a line mean nothing", func(body []byte) []byte {
		return leadingBlanks.ReplaceAll(body, nil)
	}},
}

var leadingBlanks = regexp.MustCompile(`(?m)^[ \t]+`)

// The differences that remain: which of the two refuses, and why that is meant.
var differences = []struct {
	name    string
	applies func(body []byte, ourErr, theirErr error) bool
}{
	// Prometheus stops reading at most NUL bytes, without an error, and takes them in
	// values. No sender means them.
	{"a NUL byte", func(body []byte, _, _ error) bool { return bytes.IndexByte(body, 0) >= 0 }},
	// The format wants it escaped. Taken as it is, one forgotten quote would swallow
	// the lines that follow and the error would name none of them.
	{"we refuse a line feed in quotes", func(_ []byte, ourErr, theirErr error) bool {
		return theirErr == nil && says(ourErr, "no closing quote")
	}},
	// Prometheus reads "my.5 1" as the value .5 of my at 1: a name that is not a classic
	// one and lacks its quotes would become another.
	{"we refuse a value without a blank before it", func(_ []byte, ourErr, theirErr error) bool {
		return theirErr == nil && says(ourErr, " is followed by ")
	}},
	// The same for TYPE and HELP: "# HELP my.metric text" is not about "my". Prometheus
	// does not look into quotes there, either.
	{"we refuse an invalid name in TYPE and HELP", func(_ []byte, ourErr, theirErr error) bool {
		return theirErr == nil && (says(ourErr, " is not a metric name") || says(ourErr, "line: metric name "))
	}},
	// The format has any number of blanks between tokens.
	{"we take blanks around a type", func(_ []byte, ourErr, theirErr error) bool {
		return ourErr == nil && theirErr != nil && blankedType.MatchString(theirErr.Error())
	}},
	// Other formats have more types, and one sender's mistake should not cost a whole push.
	// What a hub hands out is a type, untyped where it knows none.
	{"we take any word for a type", func(_ []byte, ourErr, theirErr error) bool {
		return ourErr == nil && says(theirErr, "invalid metric type ")
	}},
	// The format has a number as Go's ParseInt reads it, and one gateway whose clock is at
	// its beginning should not cost a whole push. A hub hands out nothing as old as that.
	{"we take a sign before a timestamp", func(_ []byte, ourErr, theirErr error) bool {
		return ourErr == nil && theirErr != nil && signedTime.MatchString(theirErr.Error())
	}},
}

var blankedType = regexp.MustCompile(`^invalid metric type "[ \\t]*(counter|gauge|histogram|summary|untyped)[ \\t]*"$`)

var signedTime = regexp.MustCompile(`^expected timestamp or new record, got "[-+]`)

func says(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }

// agree fails unless both read the same samples or both refuse the body, but for the
// differences above, of which it returns the one that applies.
func agree(t require.TestingT, body []byte) (difference string) {
	rewritten := body
	for _, r := range rewrites {
		rewritten = r.rewrite(rewritten)
	}
	got, _, ourErr := ours(body)
	want, theirErr := theirs(rewritten)
	for _, d := range differences {
		if d.applies(body, ourErr, theirErr) {
			return d.name
		}
	}
	require.Equal(t, theirErr == nil, ourErr == nil, "theirs: %v, ours: %v\n%q", theirErr, ourErr, body)
	if ourErr == nil {
		require.Equal(t, want, got, "%q", body)
	}
	return ""
}

var seeds = []string{
	"# HELP http_requests_total The total\\n of \\\\ requests.\n# TYPE http_requests_total counter\nhttp_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\nhttp_requests_total{method=\"post\",code=\"400\"}    3 1395066363000\n",
	"msdos_file_access_time_seconds{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find file:\\n\\\"FILE.TXT\\\"\"} 1.458255915e9\n",
	"metric_without_timestamp_and_labels 12.47\nsomething_weird{problem=\"division by zero\"} +Inf -3982045\n",
	"# TYPE h histogram\nh_bucket{le=\"0.05\"} 24054\nh_bucket{le=\"1\"} 133988\nh_bucket{le=\"+Inf\"} 144320\nh_sum 53423\nh_count 144320\n",
	"# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 1.7560473e+07\ns_count 2693\n",
	"# TYPE \"my.metric\" gauge\n# HELP \"my.metric\" text\n{\"my.metric\",\"a.b\"=\"c\",d=\"e\"} 1 2\n{\"x\"} 0x1p4\n{a=\"b\" , \"gr\u00f6\u00dfe\"} 1_0",
	"x {a = \"b\" , c=\"d\",} 1\r\n \t y{} -0 5\r\n#TYPE z sort\n# TYPE\n#\n  \n",
	"x{a=\"1\"b=\"2\" \"c.d\"=\"\"} 1e400\nx{a=\"1\",a=\"\"} 1\n",
	"x{__name__=\"y\"} 1\n", "{__name__=\"y\"} 1", "x.5 1", "x{\"\"=\"a\"} 1\n{\"\"} 1\n", "x{a=\"\xff\"} 1\n", "x 1 -5\n", "x 1 +5",
	"# TYPE x  counter \n", "# TYPE x Counter\nx 1\n# TYPE y info\ny 1\n", "# HELP a-b c\n", "x{a=\"\n\"} 1", "x\x00 1", "x 1 9223372036854775808\n", "x infinity\nx 1 2 3", "x 1{", "x{a=\"b\"}1 1",
}

func TestAgreesOnTheSeeds(t *testing.T) {
	for _, body := range seeds {
		agree(t, []byte(body))
	}
}

// Each difference has to be one, or it would hide others.
func TestDifferences(t *testing.T) {
	f := func(name string, bodies ...string) {
		t.Helper()
		for _, body := range bodies {
			assert.Equal(t, name, agree(t, []byte(body)), "%q", body)
			_, _, ourErr := ours([]byte(body))
			_, theirErr := theirs([]byte(body))
			if ourErr == nil && theirErr == nil {
				assert.Contains(t, body, "\x00", "both read it")
			}
		}
	}
	f("a NUL byte", "x{a=\"\x00\"} 1\n", "x 1\n\x00y 2\n", "#\x00\nx 1\n")
	f("we refuse a line feed in quotes", "x{a=\"b\nc\"} 1\n", "{\"a\nb\"} 1\n", "# HELP \"a\nb\" c\n")
	f("we refuse a value without a blank before it", "x.5 1\n", "x-1\n", "x+Inf\n")
	f("we refuse an invalid name in TYPE and HELP", "# HELP a-b c\n", "# TYPE x-counter\n", "# HELP \"a\"b c\n", "# TYPE \"\" counter\n", "# HELP \"\xff\" a\n")
	f("we take blanks around a type", "# TYPE x  counter\n", "# TYPE x gauge \n", "# TYPE x \t gauge\t\n")
	f("we take any word for a type", "# TYPE x Counter\n", "# TYPE x sort\nx 1\n", "# TYPE x info\n", "# TYPE x \n", "# TYPE x\n", "# TYPE \"a.b\" counter gauge\n", "# TYPE x \xff\n")
	f("we take a sign before a timestamp", "x 1 -5\n", "x 1 +5\n")
}

// A body with a type that Prometheus refuses is read as if the sender had named one.
func TestAnyWordForAType(t *testing.T) {
	f := func(word, want string) {
		t.Helper()
		const rest = "x{a=\"b\"} 1 5\n# HELP x text\nx 2 6\n"
		got, _, err := ours([]byte("# TYPE x " + word + "\n" + rest))
		require.NoError(t, err)
		named, err := theirs([]byte("# TYPE x " + want + "\n" + rest))
		require.NoError(t, err)
		assert.Equal(t, named, got, word)
	}
	f("COUNTER", "counter")
	f("Summary", "summary")
	f("Untyped", "untyped")
	f("gaugehistogram", "untyped")
	f("", "untyped")
}

func TestRewrites(t *testing.T) {
	f := func(body string) {
		t.Helper()
		assert.Empty(t, agree(t, []byte(body)))
		got, _, ourErr := ours([]byte(body))
		require.NoError(t, ourErr)
		want, theirErr := theirs([]byte(body))
		assert.True(t, theirErr != nil || !assert.ObjectsAreEqual(want, got), "%q is no difference", body)
	}
	f("x 1\r\n")
	f("x 1\r")
	f("# TYPE x counter\r\nx 1 2 \r\n\r\n")
	f("  x 1\n")
	f("x 1\n\ty{a=\"b\"} 1\n")
}

// Bodies that are put together from tokens get further than those of a fuzzer.
func TestPropertyTokens(t *testing.T) {
	token := rapid.SampledFrom([]string{
		"x", "a", "le", "_1", ":", "0", ".5", "1e5", "NaN", "+Inf", "-", "17", "\\", "\\n", "\\\"", "\xff", "\u00b5", "__name__",
		"{", "}", "=", ",", "\"", " ", " ", "\t", "\n", "\n", "\r\n", "\r", "#", "# ", "TYPE", "# TYPE ", "# HELP ", "counter", "histogram", "Gauge", "info",
		"x{", "x{a=\"b\"} ", "a=\"b\"", "\"a.b\"", "\"x\"", "{\"x.y\",", "} 1 17\n", " 1\n",
	})
	bodies := rapid.SliceOfN(token, 1, 12)
	rapid.Check(t, func(t *rapid.T) {
		body := []byte(strings.Join(bodies.Draw(t, "tokens"), ""))
		agree(t, body)
		roundTrip(t, body)
	})
}

func FuzzTextparse(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) { agree(t, body) })
}

// What a hub takes and writes again, for servers new and old, says the same.
func roundTrip(t require.TestingT, body []byte) {
	read, texts, err := ours(body)
	if err != nil {
		return
	}
	var kept []sample
	var out []byte
	escaped := map[exposition.Escaping][]byte{exposition.Values: nil, exposition.Underscores: nil, exposition.Dots: nil}
	samples := 0
	for i, s := range read {
		if s.ms < 0 {
			continue // older than anything that a hub hands out
		}
		kept = append(kept, s)
		if s.metadata != "" {
			out = append(out, texts[i]...)
			continue
		}
		samples++
		out = appendSample(append(out, texts[i]...), s)
		for e, text := range escaped {
			escaped[e] = appendSample(e.AppendSeries(text, []byte(texts[i])), s)
		}
	}
	again, err := theirs(out)
	require.NoError(t, err, "%q", out)
	require.Equal(t, kept, again, "%q", out)

	for e, text := range escaped {
		old, err := theirs(text)
		require.NoError(t, err, "%s: %q", e, text)
		require.Len(t, old, samples, "%s: %q", e, text)
		requireClassicNames(t, text)
	}
}

func appendSample(dst []byte, s sample) []byte {
	dst = exposition.AppendFloat(append(dst, ' '), math.Float64frombits(s.value))
	if s.timed {
		dst = strconv.AppendInt(append(dst, ' '), s.ms, 10)
	}
	return append(dst, '\n')
}

func requireClassicNames(t require.TestingT, body []byte) {
	p := textparse.NewPromParser(slices.Clone(body), labels.NewSymbolTable(), false)
	for entry, err := p.Next(); err == nil; entry, err = p.Next() {
		if entry != textparse.EntrySeries {
			continue
		}
		var l labels.Labels
		p.Labels(&l)
		require.True(t, l.IsValid(model.LegacyValidation), "%s", l)
	}
}

func TestRoundTripOfTheSeeds(t *testing.T) {
	for _, body := range seeds {
		roundTrip(t, []byte(body))
	}
}

func FuzzRoundTrip(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) { roundTrip(t, body) })
}

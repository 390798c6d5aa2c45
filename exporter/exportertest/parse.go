package exportertest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"

	"github.com/hubring/hubring/internal/exposition"
)

// gatewayLabel names the gateway that a sample is of.
const gatewayLabel = "gatewayID"

// Parse returns the samples of a push's text in their order. Their Push is 0. The
// error names the line that can't be read.
func Parse(text []byte) ([]Sample, error) {
	c := newChecker()
	c.keeps = true
	if _, err := c.check(text); err != nil {
		return nil, err
	}
	return c.samples, nil
}

// checker reads a text to its end. It is stricter than edgehub and as strict as
// prometheus-edge-hub, which an exporter's pushes must please, too: the last line
// has to end, and a family's TYPE and HELP stand once, the TYPE before its samples.
type checker struct {
	scanner  exposition.Scanner
	parser   *exposition.SeriesParser
	families map[string]family
	keeps    bool     // whether there is to be a list of samples
	samples  []Sample // of the text, as far as it was read
}

// family is what a text has said about a name so far.
type family struct {
	kind                  string
	typed, helped, filled bool
}

func newChecker() checker {
	return checker{parser: exposition.NewSeriesParser(exposition.DefaultLimits), families: map[string]family{}}
}

// forget lets go of the samples.
func (c *checker) forget() {
	clear(c.samples)
	c.samples = c.samples[:0]
}

// check returns the number of samples. The error is a *refusal.
func (c *checker) check(text []byte) (samples int, err error) {
	clear(c.families)
	c.forget()
	if len(text) > 0 && text[len(text)-1] != '\n' {
		return 0, &refusal{http.StatusBadRequest, fmt.Sprintf("line %d: it has no end", 1+bytes.Count(text, []byte{'\n'}))}
	}
	c.scanner.Reset(text)
	defer c.scanner.Reset(nil)
	for {
		switch c.scanner.Next(0) {
		case exposition.End, exposition.Repeated: // Repeated needs a guess
			if err := c.scanner.Err(); err != nil {
				return 0, &refusal{http.StatusBadRequest, err.Error()}
			}
			return samples, nil
		case exposition.Sample:
			samples++
			err = c.sample()
		case exposition.Type:
			if err = c.typeLine(); err == nil && c.scanner.UnknownTypes() > 0 {
				err = errors.New("its word is no type") // a hub takes it, and an exporter writes none
			}
		case exposition.Help:
			err = c.helpLine()
		}
		if err != nil {
			return 0, &refusal{http.StatusBadRequest, fmt.Sprintf("line %d: %v", c.scanner.Line(), err)}
		}
	}
}

func (c *checker) sample() error {
	series, err := c.parser.Parse(c.scanner.Spelling())
	if err != nil {
		return err
	}
	c.fill(series.Name)
	if c.keeps {
		gateway, _ := c.parser.Label(gatewayLabel)
		ms, _ := c.scanner.Timestamp()
		c.samples = append(c.samples, Sample{
			Series: string(series.Text), Gateway: string(gateway), Value: c.scanner.Value(), Timestamp: ms,
		})
	}
	return nil
}

// fill notes that the family of a sample has one.
func (c *checker) fill(name []byte) {
	f, known := c.families[string(name)]
	if !known {
		if base, ok := c.baseOf(name); ok {
			name, f = base, c.families[string(base)]
		}
	}
	if !f.filled {
		f.filled = true
		c.families[string(name)] = f
	}
}

var (
	errTypeTwice = errors.New("a second TYPE line of a family")
	errTypeLate  = errors.New("a TYPE line after samples of its family")
	errHelpTwice = errors.New("a second HELP line of a family")
)

func (c *checker) typeLine() error {
	f := c.families[string(c.scanner.Name())]
	switch {
	case f.typed:
		return errTypeTwice
	case f.filled:
		return errTypeLate
	}
	f.typed, f.kind = true, string(c.scanner.Text())
	c.families[string(c.scanner.Name())] = f
	return nil
}

func (c *checker) helpLine() error {
	f := c.families[string(c.scanner.Name())]
	if f.helped {
		return errHelpTwice
	}
	f.helped = true
	c.families[string(c.scanner.Name())] = f
	return nil
}

// baseOf returns the histogram or summary that a sample's name belongs to, if the
// text has one.
func (c *checker) baseOf(name []byte) ([]byte, bool) {
	for _, suffix := range [...]string{"_bucket", "_count", "_sum"} {
		base, ok := bytes.CutSuffix(name, []byte(suffix))
		if !ok {
			continue
		}
		switch c.families[string(base)].kind {
		case "histogram":
			return base, true
		case "summary":
			return base, suffix != "_bucket"
		}
	}
	return nil, false
}

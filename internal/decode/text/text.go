// Package text reads the text format, version 0.0.4, to a sink. A hub reads it without one, by what its table knows.
package text

import (
	"fmt"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// Read brings the lines of a body to a sink. Errors name the line.
func Read(body []byte, to decode.Sink) error {
	var s exposition.Scanner
	s.Reset(body)
	for {
		var err error
		switch s.Next(0) {
		case exposition.End:
			return s.Err()
		case exposition.Sample:
			ms, stamped := s.Timestamp()
			if !stamped {
				ms = decode.NoTime
			}
			err = to.Sample(s.Spelling(), ms, s.Value())
		case exposition.Repeated: // which is for who knows lines
		case exposition.Type:
			err = to.Type(s.Name(), s.Text())
		case exposition.Help:
			err = to.Help(s.Name(), []byte(exposition.UnescapeHelp(s.Text())))
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", s.Line(), err)
		}
	}
}

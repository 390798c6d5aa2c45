package tap

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
)

// Line is one sample of a push.
type Line struct {
	Series  string // as written
	Gateway string // "" if it has no such label
	At      int64  // Unix milliseconds
}

const gatewayLabel = `gatewayID="`

// Lines returns the samples of a push, in the order in which they are written.
// IDs of gateways must be free of quotes and backslashes, and every sample must
// have a timestamp.
func (p *Push) Lines() ([]Line, error) {
	p.once.Do(func() {
		if p.err == nil {
			p.lines, p.err = p.read()
		}
	})
	return p.lines, p.err
}

func (p *Push) read() ([]Line, error) {
	text := p.body
	if p.zipped {
		zip, err := gzip.NewReader(bytes.NewReader(p.body))
		if err != nil {
			return nil, fmt.Errorf("read a push to %s: %w", p.Hub, err)
		}
		if text, err = io.ReadAll(zip); err != nil {
			return nil, fmt.Errorf("read a push to %s: %w", p.Hub, err)
		}
	}
	var lines []Line
	for raw := range bytes.Lines(text) {
		raw = bytes.TrimSuffix(raw, []byte("\n"))
		if len(raw) == 0 || raw[0] == '#' {
			continue
		}
		line, err := readLine(raw)
		if err != nil {
			return nil, fmt.Errorf("read a push to %s: %w", p.Hub, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func readLine(raw []byte) (Line, error) {
	end := bytes.LastIndexByte(raw, ' ')
	series := bytes.LastIndexByte(raw[:max(end, 0)], ' ')
	if series < 0 {
		return Line{}, fmt.Errorf("%.200q is no sample with a timestamp", raw)
	}
	at, err := strconv.ParseInt(string(raw[end+1:]), 10, 64)
	if err != nil {
		return Line{}, fmt.Errorf("the timestamp of %.200q: %w", raw, err)
	}
	line := Line{Series: string(raw[:series]), At: at}
	if _, rest, ok := bytes.Cut(raw, []byte(gatewayLabel)); ok {
		if id, _, ok := bytes.Cut(rest, []byte(`"`)); ok {
			line.Gateway = string(id)
		}
	}
	return line, nil
}

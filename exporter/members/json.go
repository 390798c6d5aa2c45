package members

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parseJSON returns the nodes of a text that is JSON to the letter: YAML takes more than
// that, and reads some escapes of JSON otherwise.
func parseJSON(text []byte) (*yaml.Node, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errEmpty
	}
	if !utf8.Valid(text) {
		return nil, errors.New("json: it is not valid UTF-8")
	}
	t := jsonTokens{text: text, line: 1}
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil { // checks all of it; no token fails from here on
		if at, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, fmt.Errorf("json: line %d: %w", t.lineAt(int(at.Offset)), err)
		}
		return nil, fmt.Errorf("json: %w", err)
	}
	t.decoder = json.NewDecoder(bytes.NewReader(text))
	root := t.node(t.next())
	return root, t.found.join()
}

// jsonTokens are those of a text that was checked.
type jsonTokens struct {
	text    []byte
	decoder *json.Decoder
	passed  int // bytes of text
	line    int // in which they end
	found   problems
}

// lineAt returns the line of a place in the text, which is none before that of the last call.
func (t *jsonTokens) lineAt(place int) int {
	place = min(place, len(t.text))
	t.line += bytes.Count(t.text[t.passed:place], []byte("\n"))
	t.passed = place
	return t.line
}

// next returns nil for null.
func (t *jsonTokens) next() json.Token {
	token, err := t.decoder.Token()
	if err != nil {
		panic("BUG: JSON that was checked: " + err.Error())
	}
	return token
}

// node returns the value that begins with a token. A value that has no place in a file of
// hubs is noted.
func (t *jsonTokens) node(token json.Token) *yaml.Node {
	n := &yaml.Node{Line: t.lineAt(int(t.decoder.InputOffset()))}
	switch v := token.(type) {
	case nil:
		n.Kind, n.Tag = yaml.ScalarNode, "!!null"
	case string:
		n.Kind, n.Tag, n.Value = yaml.ScalarNode, "!!str", v
	case json.Delim:
		n.Kind = yaml.SequenceNode
		if v == '{' {
			n.Kind = yaml.MappingNode
		}
		for t.decoder.More() {
			n.Content = append(n.Content, t.node(t.next()))
		}
		t.next() // the end
	default: // a number or a boolean
		n.Kind, n.Tag = yaml.ScalarNode, "!!null"
		t.found.add("line %d: %v is no string: put it into quotes", n.Line, v)
	}
	return n
}

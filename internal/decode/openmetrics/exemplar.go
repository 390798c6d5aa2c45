package openmetrics

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hubring/hubring/internal/exposition"
)

// The fields of an io.prometheus.client.Exemplar and what it has.
const (
	exemplarLabel = 1
	exemplarValue = 2
	exemplarTime  = 3

	labelName  = 1
	labelValue = 2

	timeSeconds = 1
	timeNanos   = 2
)

// appendExemplar appends the message for what follows the # of an exemplar: labels in braces, a value, and perhaps a time.
func appendExemplar(dst, b []byte) ([]byte, error) {
	b = bytes.TrimLeft(b, " \t")
	if len(b) == 0 || b[0] != '{' {
		return dst, errors.New("it has no labels")
	}
	b = b[1:]
	for {
		b = bytes.TrimLeft(b, " \t")
		if len(b) > 0 && b[0] == '}' {
			break
		}
		name, value, rest, err := cutLabel(b)
		if err != nil {
			return dst, err
		}
		dst = appendLabel(dst, name, value)
		if b = bytes.TrimLeft(rest, " \t"); len(b) > 0 && b[0] == ',' {
			b = b[1:]
		} else if len(b) == 0 || b[0] != '}' {
			return dst, errors.New("its labels have no closing brace")
		}
	}
	number, b := token(b[1:])
	value, err := exposition.ParseFloat(number)
	if err != nil {
		return dst, fmt.Errorf("its value %.40q is %w", number, err)
	}
	dst = protowire.AppendFixed64(protowire.AppendTag(dst, exemplarValue, protowire.Fixed64Type), math.Float64bits(value))
	stamp, b := token(b)
	if rest, _ := token(b); len(rest) > 0 {
		return dst, fmt.Errorf("%.40q follows its timestamp", rest)
	}
	if len(stamp) == 0 {
		return dst, nil
	}
	ms, err := milliseconds(stamp)
	if err != nil {
		return dst, fmt.Errorf("its timestamp %.40q is %w", stamp, err)
	}
	return appendTime(dst, ms), nil
}

// cutLabel is the label at the start of b, and what follows it.
func cutLabel(b []byte) (name, value, rest []byte, err error) {
	if len(b) > 0 && b[0] == '"' {
		if name, rest, err = cutQuoted(b); err != nil {
			return nil, nil, nil, err
		}
		rest, _ = bytes.CutPrefix(rest, []byte{'='})
	} else {
		var found bool
		if name, rest, found = bytes.Cut(b, []byte{'='}); !found || !exposition.ValidLabelName(string(name)) {
			return nil, nil, nil, fmt.Errorf("%.40q does not begin with a label name", b)
		}
	}
	if value, rest, err = cutQuoted(rest); err != nil {
		return nil, nil, nil, fmt.Errorf("value of label %.40q: %w", name, err)
	}
	return name, value, rest, nil
}

func appendLabel(dst, name, value []byte) []byte {
	size := protowire.SizeTag(labelName) + protowire.SizeBytes(len(name)) + protowire.SizeTag(labelValue) + protowire.SizeBytes(len(value))
	dst = protowire.AppendVarint(protowire.AppendTag(dst, exemplarLabel, protowire.BytesType), uint64(size))
	dst = protowire.AppendBytes(protowire.AppendTag(dst, labelName, protowire.BytesType), name)
	return protowire.AppendBytes(protowire.AppendTag(dst, labelValue, protowire.BytesType), value)
}

func appendTime(dst []byte, ms int64) []byte {
	seconds, nanos := ms/1000, ms%1000*1e6
	if nanos < 0 {
		seconds, nanos = seconds-1, nanos+1e9
	}
	size := protowire.SizeTag(timeSeconds) + protowire.SizeVarint(uint64(seconds)) + protowire.SizeTag(timeNanos) + protowire.SizeVarint(uint64(nanos))
	dst = protowire.AppendVarint(protowire.AppendTag(dst, exemplarTime, protowire.BytesType), uint64(size))
	dst = protowire.AppendVarint(protowire.AppendTag(dst, timeSeconds, protowire.VarintType), uint64(seconds))
	return protowire.AppendVarint(protowire.AppendTag(dst, timeNanos, protowire.VarintType), uint64(nanos))
}

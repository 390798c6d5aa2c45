package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/hubring/hubring/hashring"
)

// maxFaults is how many lines of a fleet file an error lists.
const maxFaults = 10

// fleetFlags say which gateways there are.
type fleetFlags struct {
	file      string
	count     *int
	series    *int
	noGateway *int
}

// loads returns the gateways with their series, and the empty key for the
// samples of no gateway.
func (f *fleetFlags) loads(stdin io.Reader) ([]hashring.Load, error) {
	var loads []hashring.Load
	if *f.noGateway > 0 {
		loads = append(loads, hashring.Load{Series: *f.noGateway})
	}
	if f.file == "" {
		for i := range *f.count {
			loads = append(loads, hashring.Load{Key: fmt.Sprintf("gateway-%05d", i), Series: *f.series})
		}
		return loads, nil
	}
	if f.file != "-" {
		text, err := os.ReadFile(f.file)
		if err != nil {
			return nil, fmt.Errorf("read --gateways: %w", err)
		}
		stdin = bytes.NewReader(text)
	}
	read, err := readFleet(stdin, *f.series)
	if err != nil {
		return nil, fmt.Errorf("read --gateways=%s: %w", f.file, err)
	}
	return append(loads, read...), nil
}

// readFleet reads a gateway from each line: its ID and, after a space, its number
// of series, which otherwise is series. Empty lines and those that begin with # are skipped.
func readFleet(in io.Reader, series int) ([]hashring.Load, error) {
	var loads []hashring.Load
	var errs []error
	faults := 0
	lines := bufio.NewScanner(in)
	seen := map[string]int{}
	for number := 1; lines.Scan(); number++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		load := hashring.Load{Key: fields[0], Series: series}
		var err error
		if first := seen[load.Key]; first > 0 {
			err = fmt.Errorf("line %d: gateway %q was on line %d already", number, load.Key, first)
		}
		seen[load.Key] = number
		if len(fields) > 2 {
			err = fmt.Errorf("line %d has %d fields, it must have a gateway's ID and may have its number of series", number, len(fields))
		} else if len(fields) == 2 {
			n, convErr := strconv.Atoi(fields[1])
			if convErr != nil || n < 0 {
				err = fmt.Errorf("line %d: gateway %q has %q series, it must be a whole number", number, load.Key, fields[1])
			}
			load.Series = n
		}
		if err != nil {
			if faults++; faults <= maxFaults {
				errs = append(errs, err)
			}
			continue
		}
		loads = append(loads, load)
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, err)
	}
	if faults > maxFaults {
		errs = append(errs, fmt.Errorf("and %d faults more", faults-maxFaults))
	}
	if len(errs) == 0 && len(loads) == 0 {
		errs = append(errs, errors.New("there is no gateway in it"))
	}
	return loads, errors.Join(errs...)
}

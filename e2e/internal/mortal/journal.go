package mortal

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
)

// What a line of a journal says of a report.
const (
	Offered = "offered" // it is about to be submitted: it may arrive
	Taken   = "taken"   // Submit returned nil: it must
)

// Entry is a report of a gateway.
type Entry struct {
	Gateway string
	At      int64 // of its samples, Unix milliseconds
}

// journal has a line for each word. The kernel has it when write returns, so it outlives the process.
type journal struct {
	mu   sync.Mutex
	file *os.File
}

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &journal{file: f}, nil
}

func (j *journal) write(word, gateway string, at int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err := fmt.Fprintf(j.file, "%s %s %d\n", word, gateway, at)
	return err
}

func (j *journal) close() { _ = j.file.Close() }

// ReadJournal returns what a controller offered and what was taken. There may be no journal yet, and the last
// line of one that was killed may be half a line.
func ReadJournal(path string) (offered, taken []Entry, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	lines := bufio.NewScanner(strings.NewReader(string(text[:strings.LastIndexByte(string(text), '\n')+1])))
	for lines.Scan() {
		var word string
		var e Entry
		if _, err := fmt.Sscan(lines.Text(), &word, &e.Gateway, &e.At); err != nil {
			return nil, nil, fmt.Errorf("journal %s: line %q: %w", path, lines.Text(), err)
		}
		if word == Taken {
			taken = append(taken, e)
		} else {
			offered = append(offered, e)
		}
	}
	return offered, taken, lines.Err()
}

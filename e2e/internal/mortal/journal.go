package mortal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hubring/hubring/e2e/internal/tap"
)

// What a line of a journal begins with.
const (
	offered = "offered"
	taken   = "taken"
	acked   = "acked"
)

// Entry is a report of a gateway.
type Entry struct {
	Gateway string
	At      int64 // of its samples, Unix milliseconds
}

// Ack is a hub's word that it has a report.
type Ack struct {
	Entry
	Hub  string // host and port
	When int64  // Unix milliseconds
}

// Journal is what a controller did, in all its lives.
type Journal struct {
	Offered []Entry // is about to be submitted: it may arrive
	Taken   []Entry // Submit returned nil: it must
	Acked   []Ack   // by a hub
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
	return j.append(fmt.Appendf(nil, "%s %s %d\n", word, gateway, at))
}

func (j *journal) append(lines []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err := j.file.Write(lines)
	return err
}

// acknowledged notes what a hub took.
func (j *journal) acknowledged(p *tap.Push) {
	if !p.Acknowledged() {
		return
	}
	samples, err := p.Lines()
	if err != nil {
		panic(err) // an exporter that writes what nobody can read
	}
	reports := map[Entry]bool{}
	var lines bytes.Buffer
	for _, s := range samples {
		e := Entry{s.Gateway, s.At}
		if !reports[e] {
			fmt.Fprintln(&lines, acked, e.Gateway, e.At, p.Hub, time.Now().UnixMilli())
		}
		reports[e] = true
	}
	if err := j.append(lines.Bytes()); err != nil {
		panic(err)
	}
}

func (j *journal) close() { _ = j.file.Close() }

// ReadJournal reads a controller's journal. There may be none yet, and the last
// line of one that was killed may be half a line.
func ReadJournal(path string) (j Journal, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return j, err
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	for line := range bytes.Lines(whole) {
		var a Ack
		word, rest, _ := strings.Cut(string(line), " ")
		var err error
		switch word {
		case offered:
			_, err = fmt.Sscan(rest, &a.Gateway, &a.At)
			j.Offered = append(j.Offered, a.Entry)
		case taken:
			_, err = fmt.Sscan(rest, &a.Gateway, &a.At)
			j.Taken = append(j.Taken, a.Entry)
		case acked:
			_, err = fmt.Sscan(rest, &a.Gateway, &a.At, &a.Hub, &a.When)
			j.Acked = append(j.Acked, a)
		default:
			err = errors.New("no such word")
		}
		if err != nil {
			return j, fmt.Errorf("journal %s: line %q: %w", path, line, err)
		}
	}
	return j, nil
}

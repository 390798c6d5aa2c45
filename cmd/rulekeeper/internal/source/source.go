// Package source reads rule files that others write at any moment: a ConfigMap's
// links move, a config manager writes file by file.
//
// The files are looked at, read, and looked at again; if one is another by then, or
// was written a moment ago, all are read anew. What is not a regular file is never opened for long, and
// nothing is read beyond the limits.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hubring/hubring/cmd/rulekeeper/internal/problem"
)

const (
	tries = 5                      // how often files that change are read in one call
	pause = 200 * time.Millisecond // between two tries
	quiet = 500 * time.Millisecond // a file written more recently may be half there
)

// Limits bound what is read.
type Limits struct {
	FileBytes  int64 // of one file
	TotalBytes int64 // of all files together
	Files      int   // number of files
}

// File is a rule file as it was read.
type File struct {
	Path    string
	Content []byte
}

// Files reads what patterns name. It may be used by one goroutine at a time.
type Files struct {
	patterns []string
	limits   Limits
	looked   func() // for tests: between two looks
}

// New takes patterns in the syntax of filepath.Match, as Thanos' --rule-file does.
// It fails if one is malformed.
func New(patterns []string, limits Limits) (*Files, error) {
	for _, p := range patterns {
		if err := valid(p); err != nil {
			return nil, err
		}
	}
	return &Files{patterns: patterns, limits: limits, looked: func() {}}, nil
}

// Read returns the files, sorted by path, and a problem for each one that is
// missing among them. It returns early, with a problem, when ctx ends.
func (f *Files) Read(ctx context.Context) ([]File, []problem.Problem) {
	for try := 1; ; try++ {
		before, problems := f.look()
		files, unread := f.read(before)
		f.looked()
		after, _ := f.look()
		same := slices.EqualFunc(before, after, seen.equal)
		if same && (try == tries || !slices.ContainsFunc(after, seen.fresh)) {
			return files, append(problems, unread...)
		}
		if try == tries {
			return nil, []problem.Problem{{Reason: problem.Changing, Text: "the rule files did not stay the same while they were read"}}
		}
		select {
		case <-ctx.Done():
			return nil, []problem.Problem{{Reason: problem.Changing, Text: "stopped while the rule files were read"}}
		case <-time.After(pause):
		}
	}
}

// seen is a file at a moment; info is nil if it was not to be found.
type seen struct {
	path string
	info os.FileInfo
	err  error
}

func (s seen) equal(o seen) bool {
	if s.path != o.path || (s.info == nil) != (o.info == nil) {
		return false
	}
	return s.info == nil || os.SameFile(s.info, o.info) && s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime())
}

// fresh says whether a file was written a moment ago. Many writers empty a file
// before they fill it, and an empty one is a good one.
func (s seen) fresh() bool {
	if s.info == nil {
		return false
	}
	age := time.Since(s.info.ModTime())
	return age >= 0 && age < quiet // a clock that is ahead of ours says nothing
}

// look finds the files and, behind links, what they are.
func (f *Files) look() ([]seen, []problem.Problem) {
	var all []seen
	var problems []problem.Problem
	for _, pattern := range f.patterns {
		paths, err := expand(pattern)
		if err != nil {
			problems = append(problems, problem.Problem{File: pattern, Reason: problem.Read, Text: err.Error()})
		}
		for _, path := range paths {
			s := seen{path: path}
			s.info, s.err = os.Stat(path)
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b seen) int { return strings.Compare(a.path, b.path) })
	return slices.CompactFunc(all, func(a, b seen) bool { return a.path == b.path }), problems
}

// read reads the files one by one; what one of them lacks is no fault of the others.
func (f *Files) read(found []seen) (files []File, problems []problem.Problem) {
	total := int64(0)
	for i, s := range found {
		refuse := func(reason problem.Reason, err error) {
			problems = append(problems, problem.Problem{File: s.path, Reason: reason, Text: err.Error()})
		}
		if i >= f.limits.Files {
			refuse(problem.Limit, fmt.Errorf("is one of %d files, more than the limit of %d", len(found), f.limits.Files))
			continue
		}
		if s.err != nil {
			refuse(problem.Read, cause(s.err))
			continue
		}
		content, err := readRegular(s.path, s.info, f.limits.FileBytes)
		var large tooLargeError
		switch {
		case errors.As(err, &large):
			refuse(problem.Limit, err)
		case err != nil:
			refuse(problem.Read, cause(err))
		case total+int64(len(content)) > f.limits.TotalBytes:
			refuse(problem.Limit, fmt.Errorf("brings all files to %d bytes, more than the limit of %d", total+int64(len(content)), f.limits.TotalBytes))
		default:
			total += int64(len(content))
			files = append(files, File{Path: s.path, Content: content})
		}
	}
	return files, problems
}

// tooLargeError is the limit that a file is above.
type tooLargeError int64

func (e tooLargeError) Error() string {
	return fmt.Sprintf("is larger than the limit of %d bytes", int64(e))
}

// readRegular reads a regular file. A pipe would wait for its writer and a device
// need not end, so what it is is asked first, and again of what was opened, in
// case it was exchanged meanwhile.
func readRegular(path string, info os.FileInfo, limit int64) ([]byte, error) {
	if !info.Mode().IsRegular() {
		return nil, irregular(info)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	if info, err = file.Stat(); err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, irregular(info)
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, tooLargeError(limit)
	}
	return content, nil
}

func irregular(info os.FileInfo) error {
	return fmt.Errorf("is no regular file: %s", info.Mode())
}

// cause leaves out the path, which the problem has.
func cause(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return fmt.Errorf("%s: %w", at.Op, at.Err)
	}
	return err
}

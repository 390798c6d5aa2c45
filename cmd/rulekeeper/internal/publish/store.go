// Package publish puts sets of rule files where the ruler reads them, each set at
// once or not at all.
//
//	DIR/set-1234/chart-0a1b2c3d-rules.yaml   a set: never changed once it has its place
//	DIR/current -> set-1234                  what the ruler reads: DIR/current/*.yaml
//	DIR/before -> set-1200                   while no ruler has taken current: the way back
//	DIR/refused                              which set a ruler refused, and its words
//
// A link is exchanged by a rename, so that whoever reads finds one set or the other.
// All of it outlives the process: a restart in the middle of anything goes on.
package publish

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	current = "current"
	before  = "before"
	refused = "refused"
	prefix  = "set-" // of the folders of sets; MkdirTemp makes the rest
)

// ErrNone is that there is no such set.
var ErrNone = errors.New("there is no published set")

// Store is a folder of published sets. It has one user at a time: one process, and
// in it one goroutine.
type Store struct {
	dir string
}

// Open makes the folder, if it is not there.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of published rules: %w", err)
	}
	return &Store{dir: dir}, nil
}

// Current returns the set that the ruler reads, ErrNone if there is none.
func (s *Store) Current() (Set, error) { return s.load(current) }

func (s *Store) load(link string) (Set, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, link))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("list the published rules: %w", err)
	}
	set := Set{}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(s.dir, link, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the published rules: %w", err)
		}
		set[entry.Name()] = content
	}
	return set, nil
}

// Publish makes a set the current one. The set that a ruler took last stays within
// reach of GoBack until Confirm.
func (s *Store) Publish(set Set) (err error) {
	old, readErr := os.Readlink(filepath.Join(s.dir, current))
	name, err := s.write(set)
	if err != nil {
		return fmt.Errorf("write a set of rules: %w", err)
	}
	_, none := os.Lstat(filepath.Join(s.dir, before))
	if readErr == nil && errors.Is(none, fs.ErrNotExist) {
		if err := s.link(before, old); err != nil {
			return fmt.Errorf("keep the set of rules before: %w", err)
		}
	}
	if err := s.link(current, name); err != nil {
		return fmt.Errorf("publish a set of rules: %w", err)
	}
	s.clean()
	return nil
}

// Confirm says that a ruler has taken the current set. If it is the newest there is,
// what was noted of a refusal is done with.
func (s *Store) Confirm(newest bool) error {
	err := s.remove(before)
	if newest {
		err = errors.Join(err, s.remove(refused))
	}
	s.clean()
	return err
}

// CanGoBack says whether there is a set that a ruler took before the current one.
func (s *Store) CanGoBack() bool {
	_, err := os.Stat(filepath.Join(s.dir, before))
	return err == nil
}

// GoBack makes the set current that a ruler took last; ErrNone if there is none.
func (s *Store) GoBack() error {
	old, err := os.Readlink(filepath.Join(s.dir, before))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNone
	}
	if err != nil {
		return fmt.Errorf("find the set of rules before: %w", err)
	}
	if err := s.link(current, old); err != nil {
		return fmt.Errorf("go back to the set of rules before: %w", err)
	}
	return s.remove(before)
}

// Refuse notes which set a ruler refused and why, for processes to come.
func (s *Store) Refuse(key, why string) error {
	return s.replace(refused, func(name string) error {
		return os.WriteFile(name, []byte(key+"\n"+why), 0o644)
	})
}

// Refused returns what Refuse noted, two empty strings if nothing.
func (s *Store) Refused() (key, why string) {
	text, err := os.ReadFile(filepath.Join(s.dir, refused))
	if err != nil {
		return "", "" // then the ruler is asked once more
	}
	key, why, _ = strings.Cut(string(text), "\n")
	return key, why
}

// write makes a folder of a set and returns its name.
func (s *Store) write(set Set) (name string, err error) {
	folder, err := os.MkdirTemp(s.dir, prefix)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(folder) // what is left of it is found by the next clean
		}
	}()
	for file, content := range set {
		if err := writeFile(filepath.Join(folder, file), content); err != nil {
			return "", err
		}
	}
	// The ruler may run as another user.
	if err := os.Chmod(folder, 0o755); err != nil {
		return "", err
	}
	return filepath.Base(folder), syncFolder(folder)
}

// link has a link point to a set, at once.
func (s *Store) link(name, set string) error {
	return s.replace(name, func(name string) error { return os.Symlink(set, name) })
}

// replace makes a file beside its place and renames it there.
func (s *Store) replace(name string, create func(name string) error) error {
	made := filepath.Join(s.dir, name+".new")
	if err := os.Remove(made); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := create(made); err != nil {
		return err
	}
	if err := os.Rename(made, filepath.Join(s.dir, name)); err != nil {
		return err
	}
	return syncFolder(s.dir)
}

func (s *Store) remove(name string) error {
	err := os.Remove(filepath.Join(s.dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what is done with: %w", err)
	}
	return nil
}

// clean removes the sets that nothing points to. What cannot be removed is tried
// again the next time.
func (s *Store) clean() {
	used := map[string]bool{}
	for _, link := range []string{current, before} {
		if set, err := os.Readlink(filepath.Join(s.dir, link)); err == nil {
			used[set] = true
		}
	}
	entries, _ := os.ReadDir(s.dir)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) && !used[entry.Name()] {
			_ = os.RemoveAll(filepath.Join(s.dir, entry.Name()))
		}
	}
}

// writeFile writes a file that is on the disk when it returns, for any user to read.
func writeFile(name string, content []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
}

// syncFolder has the names in a folder reach the disk.
func syncFolder(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

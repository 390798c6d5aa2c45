package groups

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// The ends of the names of files: of a group, of one that is being written, and of one that could not be read.
const (
	groupSuffix   = ".group"
	newSuffix     = ".new"
	damagedSuffix = ".damaged"
)

// path is that of a group's file.
func (s *Set) path(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(s.cfg.Dir, fmt.Sprintf("%x%s", sum[:16], groupSuffix))
}

// store writes a group's file in the place of the one it had.
func (s *Set) store(key string, file []byte) *RefusedError {
	if s.cfg.Dir == "" {
		return nil
	}
	path := s.path(key)
	if err := s.write(path+newSuffix, file); err != nil {
		_ = s.cfg.Disk.Remove(path + newSuffix) // or else the next one does
		return broken(err)
	}
	if err := s.cfg.Disk.Rename(path+newSuffix, path); err != nil {
		return broken(err)
	}
	return s.syncDir()
}

func (s *Set) write(path string, file []byte) error {
	f, err := s.cfg.Disk.Create(path)
	if errors.Is(err, os.ErrExist) { // left by a write that failed
		if err := s.cfg.Disk.Remove(path); err != nil {
			return err
		}
		f, err = s.cfg.Disk.Create(path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt(file, 0)
	if err == nil && s.cfg.Sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// unlink takes a group's file away, which syncDir makes durable.
func (s *Set) unlink(key string) *RefusedError {
	if s.cfg.Dir == "" {
		return nil
	}
	if err := s.cfg.Disk.Remove(s.path(key)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return broken(err)
	}
	return nil
}

func (s *Set) syncDir() *RefusedError {
	if s.cfg.Dir == "" || !s.cfg.Sync {
		return nil
	}
	if err := s.cfg.Disk.SyncDir(s.cfg.Dir); err != nil {
		return broken(err)
	}
	return nil
}

// broken is the refusal for an error of the disk.
func broken(err error) *RefusedError {
	reason := StorageFailed
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		reason = StorageFull
	}
	return &RefusedError{Broken, reason, fmt.Sprintf("the hub's disk does not keep groups: %v", err)}
}

// load reads all groups. What is damaged is put aside, said and counted.
func (s *Set) load() error {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(s.cfg.Dir, e.Name())
		switch {
		case strings.HasSuffix(path, newSuffix):
			if err := s.cfg.Disk.Remove(path); err != nil {
				return err
			}
		case strings.HasSuffix(path, groupSuffix):
			if err := s.loadFile(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Set) loadFile(path string) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	g, err := parse(file, s.seed)
	if err == nil {
		key := g.Labels.Key()
		if s.path(key) != path {
			err = errors.New("its name is that of another group")
		} else if s.groups[key] != nil { // read before something else failed
			return nil
		} else if refused := s.index.replace(nil, g.Families); refused != nil {
			err = refused
		} else {
			s.set(key, nil, g)
			return nil
		}
	}
	s.Counts.Lost.Add(1)
	s.cfg.Logger.Error("a group cannot be read and is left out", "file", path, "put_aside_as", path+damagedSuffix, "error", err)
	return s.cfg.Disk.Rename(path, path+damagedSuffix)
}

// Package volume writes files as the kubelet does for ConfigMaps and Secrets: a
// container sees either the old ones or the new ones, never both.
//
//	VOLUME/..1          a folder with the files
//	VOLUME/..data       a link to it, which a rename turns to the next folder
//	VOLUME/NAME         a link to ..data/NAME
package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const current = "..data"

// Publish makes files, by their paths, what is in a volume. It may be called again
// with others, by one caller at a time; the same ones change nothing.
func Publish(volume string, files map[string][]byte) error {
	if err := publish(volume, files); err != nil {
		return fmt.Errorf("publish the files of %s: %w", volume, err)
	}
	return nil
}

func publish(volume string, files map[string][]byte) error {
	before, err := os.Readlink(filepath.Join(volume, current))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if before != "" && same(filepath.Join(volume, before), files) {
		return nil
	}
	next, err := os.MkdirTemp(volume, "..")
	if err != nil {
		return err
	}
	if err := os.Chmod(next, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := write(filepath.Join(next, name), content); err != nil {
			return err
		}
	}
	if err := turn(volume, filepath.Base(next)); err != nil {
		return err
	}
	if err := link(volume, files); err != nil {
		return err
	}
	if before == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(volume, before))
}

// same tells whether a folder has these files and no others.
func same(folder string, files map[string][]byte) bool {
	found := 0
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if want, ok := files[name]; !ok || !bytes.Equal(want, content) {
			return fs.ErrNotExist
		}
		found++
		return nil
	})
	return err == nil && found == len(files)
}

func write(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// turn makes a folder the current one.
func turn(volume, to string) error {
	link := filepath.Join(volume, "..data_tmp")
	if err := os.Symlink(to, link); err != nil {
		return err
	}
	return os.Rename(link, filepath.Join(volume, current))
}

// link makes the names that a container sees, and takes away those that are no more.
func link(volume string, files map[string][]byte) error {
	wanted := map[string]bool{}
	for name := range files {
		top, _, _ := strings.Cut(name, "/")
		wanted[top] = true
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		err := os.Symlink(filepath.Join(current, name), filepath.Join(volume, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	entries, err := os.ReadDir(volume)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if name := entry.Name(); !strings.HasPrefix(name, "..") && !wanted[name] {
			if err := os.Remove(filepath.Join(volume, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

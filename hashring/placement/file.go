package placement

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// File is the path of a placement.
type File string

// Read reads the file. The error wraps that of the file system, or says what is wrong with it.
func (f File) Read(ctx context.Context) (*Placement, error) {
	content, err := f.content(ctx)
	if err == nil {
		var p *Placement
		if p, err = Parse(content); err == nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("read the placement of %q: %w", string(f), err)
}

func (f File) content(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(string(f)); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() { // opening a pipe would wait
		return nil, errors.New("it is not a regular file")
	}
	file, err := os.Open(string(f))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	return io.ReadAll(io.LimitReader(file, MaxBytes+1))
}

// Write puts a placement where the file is, all of it or nothing: whoever reads meanwhile
// has the old one or the new one.
func (f File) Write(p *Placement) error {
	if err := f.write(p.Text()); err != nil {
		return fmt.Errorf("write the placement of %q: %w", string(f), err)
	}
	return nil
}

func (f File) write(content []byte) (err error) {
	if len(content) > MaxBytes {
		return fmt.Errorf("it has %d bytes, %d are allowed", len(content), MaxBytes)
	}
	dir := filepath.Dir(string(f))
	temp, err := os.CreateTemp(dir, filepath.Base(string(f))+".*.new")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = temp.Close()           // it may be closed already
			_ = os.Remove(temp.Name()) // the first error says more
		}
	}()
	if _, err := temp.Write(content); err != nil {
		return err
	}
	if err := temp.Chmod(0o644); err != nil { // others read it
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), string(f)); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename outlive the machine. Not every file system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // nothing was written
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}

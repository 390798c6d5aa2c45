package container

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// changeRoot makes the container's root and changes to it. Nothing of the host's stays
// within reach but what the spec names.
func changeRoot(spec Spec) error {
	if err := unix.Mount("tmpfs", spec.Root, "tmpfs", unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount a root: %w", err)
	}
	mounts, err := allMounts(spec)
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if err := m.bind(spec.Root); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.Source, m.Target, err)
		}
	}
	if err := writeFiles(spec); err != nil {
		return err
	}
	if err := mountProc(spec.Root); err != nil {
		return err
	}
	if err := enter(spec.Root); err != nil {
		return err
	}
	if spec.ReadOnly {
		if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NODEV, ""); err != nil {
			return fmt.Errorf("make the root read-only: %w", err)
		}
	}
	if err := os.Chdir(spec.Dir); err != nil {
		return fmt.Errorf("change to the working directory: %w", err)
	}
	return nil
}

// allMounts returns the spec's mounts and those that every container has, the outer ones first.
func allMounts(spec Spec) ([]Mount, error) {
	mounts := append(slices.Clone(spec.Mounts), Mount{Source: spec.Program, Target: spec.Path, ReadOnly: true})
	for _, device := range []string{"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"} {
		mounts = append(mounts, Mount{Source: device, Target: device})
	}
	libraries, err := librariesOf(spec.Program)
	if err != nil {
		return nil, err
	}
	mounts = append(mounts, libraries...)
	slices.SortStableFunc(mounts, func(a, b Mount) int { return len(a.Target) - len(b.Target) })
	return mounts, nil
}

// librariesOf returns the host's libraries if a program needs any. Programs in images
// are linked statically; what was built on this machine may not be.
func librariesOf(program string) ([]Mount, error) {
	file, err := elf.Open(program)
	if err != nil {
		return nil, fmt.Errorf("read the program: %w", err)
	}
	defer func() { _ = file.Close() }()
	if !slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return nil, nil
	}
	var mounts []Mount
	for _, folder := range []string{"/lib", "/lib32", "/lib64", "/usr/lib"} {
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		mounts = append(mounts, Mount{Source: folder, Target: folder, ReadOnly: true})
	}
	return mounts, nil
}

// bind mounts a folder or file into the root that is being made.
func (m Mount) bind(root string) error {
	source, err := filepath.EvalSymlinks(m.Source)
	if err != nil {
		return err
	}
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	target := filepath.Join(root, m.Target)
	if err := mountPoint(target, info.IsDir()); err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if !m.ReadOnly {
		return nil
	}
	flags, err := lockedFlags(target)
	if err != nil {
		return err
	}
	return unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, "")
}

// mountPoint makes what is mounted on, unless it is there.
func mountPoint(path string, folder bool) error {
	if folder {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

// lockedFlags returns the flags of a mount that a namespace of users must not take off.
func lockedFlags(target string) (uintptr, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(target, &stat); err != nil {
		return 0, err
	}
	kept := map[int64]uintptr{
		unix.ST_NOSUID: unix.MS_NOSUID, unix.ST_NODEV: unix.MS_NODEV, unix.ST_NOEXEC: unix.MS_NOEXEC,
		unix.ST_NOATIME: unix.MS_NOATIME, unix.ST_NODIRATIME: unix.MS_NODIRATIME, unix.ST_RELATIME: unix.MS_RELATIME,
	}
	var flags uintptr
	for has, keep := range kept {
		if stat.Flags&has != 0 {
			flags |= keep
		}
	}
	return flags, nil
}

func writeFiles(spec Spec) error {
	for name, text := range spec.Files {
		path := filepath.Join(spec.Root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make the folder of %s: %w", name, err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	if err := os.MkdirAll(filepath.Join(spec.Root, spec.Dir), 0o755); err != nil {
		return fmt.Errorf("make the working directory: %w", err)
	}
	return nil
}

func mountProc(root string) error {
	target := filepath.Join(root, "proc")
	if err := os.MkdirAll(target, 0o755); err != nil {
		return fmt.Errorf("make /proc: %w", err)
	}
	if err := unix.Mount("proc", target, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// enter makes a folder the root, and takes the host's away.
func enter(root string) error {
	if err := os.Chdir(root); err != nil {
		return fmt.Errorf("enter the root: %w", err)
	}
	// The old root is put over the new one, and comes off at once.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("take the host's root away: %w", err)
	}
	return os.Chdir("/")
}

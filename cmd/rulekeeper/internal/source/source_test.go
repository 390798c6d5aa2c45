package source

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/rulekeeper/internal/problem"
)

var roomy = Limits{FileBytes: 1 << 10, TotalBytes: 1 << 20, Files: 100}

func write(t *testing.T, content string, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
}

// read returns the content of files by their path below dir, and what is wrong in words.
func read(t *testing.T, limits Limits, patterns ...string) (map[string]string, []problem.Problem) {
	t.Helper()
	f, err := New(patterns, limits)
	require.NoError(t, err)
	files, problems := f.Read(t.Context())
	found := map[string]string{}
	for _, file := range files {
		found[file.Path] = string(file.Content)
	}
	assert.Len(t, found, len(files), "a file was read twice")
	return found, problems
}

// A ConfigMap's files are links to a link to a folder.
func TestConfigMapsAreRead(t *testing.T) {
	dir := t.TempDir()
	write(t, "x", dir, "..2026", "rules.yaml")
	require.NoError(t, os.Symlink("..2026", filepath.Join(dir, "..data")))
	require.NoError(t, os.Symlink("..data/rules.yaml", filepath.Join(dir, "rules.yaml")))
	found, problems := read(t, roomy, dir+"/*.yaml", dir+"/*", dir+"/rules.yaml")
	assert.Equal(t, map[string]string{dir + "/rules.yaml": "x"}, found)
	assert.Len(t, problems, 2, "the two folders that * names: %v", problems)
}

func TestPatterns(t *testing.T) {
	dir := t.TempDir()
	write(t, "1", dir, "a", "rules.yaml")
	write(t, "2", dir, "b", "rules.yaml")
	write(t, "3", dir, "rules.yaml")
	f := func(pattern string, want int, wrong string) {
		t.Helper()
		found, problems := read(t, roomy, dir+pattern)
		assert.Len(t, found, want, pattern)
		if wrong == "" {
			assert.Empty(t, problems, pattern)
		} else if assert.Len(t, problems, 1, pattern) {
			assert.Equal(t, problem.Read, problems[0].Reason)
			assert.Contains(t, problems[0].Text, wrong)
		}
	}
	f("/*/*.yaml", 2, "")
	f("/[ab]/rules.yaml", 2, "")
	f("/*.yml", 0, "")
	f("/rules.yaml", 1, "")
	f("/none.yaml", 0, "no such file")
	f("/none/*.yaml", 0, "no such file") // an unmounted volume is not an empty one
	_, err := New([]string{"/a/[.yaml"}, roomy)
	assert.ErrorContains(t, err, `read the pattern "/a/[.yaml"`)
}

// What is no file, or too much, is a problem of its own and of no other file; a pipe
// without a writer does not hold anything up.
func TestWhatIsNoGoodFileIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "a.yaml"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "b.yaml"), 0o700))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "c.yaml")))
	require.NoError(t, os.Symlink("/dev/zero", filepath.Join(dir, "d.yaml")))
	write(t, string(make([]byte, 1025)), dir, "e.yaml")
	write(t, "good", dir, "f.yaml")
	found, problems := read(t, roomy, dir+"/*.yaml")
	assert.Equal(t, map[string]string{dir + "/f.yaml": "good"}, found)
	want := []struct {
		reason problem.Reason
		text   string
	}{{problem.Read, "no regular file"}, {problem.Read, "no regular file"}, {problem.Read, "no such file"}, {problem.Read, "no regular file"}, {problem.Limit, "limit of 1024 bytes"}}
	require.Len(t, problems, len(want), "%v", problems)
	for i, w := range want {
		assert.Equal(t, w.reason, problems[i].Reason, problems[i])
		assert.Contains(t, problems[i].Text, w.text)
	}
}

// What was a file may be a pipe when it is opened.
func TestAFileThatTurnsIntoAPipeDoesNotHang(t *testing.T) {
	dir := t.TempDir()
	write(t, "x", dir, "file")
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	info, err := os.Stat(filepath.Join(dir, "file"))
	require.NoError(t, err)
	_, err = readRegular(filepath.Join(dir, "pipe"), info, 100)
	assert.ErrorContains(t, err, "no regular file")
}

func TestLimitsOfTheSet(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.yaml", "b.yaml", "c.yaml"} {
		write(t, "12345", dir, name)
	}
	f := func(limits Limits, text string) {
		t.Helper()
		found, problems := read(t, limits, dir+"/*.yaml")
		assert.Len(t, found, 2)
		require.Len(t, problems, 1)
		assert.Equal(t, problem.Limit, problems[0].Reason)
		assert.Equal(t, dir+"/c.yaml", problems[0].File)
		assert.Contains(t, problems[0].Text, text)
	}
	f(Limits{FileBytes: 5, TotalBytes: 15, Files: 2}, "one of 3 files, more than the limit of 2")
	f(Limits{FileBytes: 5, TotalBytes: 14, Files: 3}, "15 bytes, more than the limit of 14")
}

// The files of a set belong together: if one changes meanwhile, all are read again.
func TestFilesThatChangeAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	write(t, "old", dir, "a.yaml")
	synctest.Test(t, func(t *testing.T) {
		f, err := New([]string{dir + "/*.yaml"}, roomy)
		require.NoError(t, err)
		changes := 2
		f.looked = func() {
			if changes > 0 {
				changes--
				write(t, "newer", dir, "new.yaml")
				require.NoError(t, os.Rename(dir+"/new.yaml", dir+"/a.yaml"))
			}
		}
		files, problems := f.Read(t.Context())
		require.Empty(t, problems)
		require.Len(t, files, 1)
		assert.Equal(t, "newer", string(files[0].Content))

		changes = 100
		files, problems = f.Read(t.Context())
		assert.Empty(t, files)
		require.Len(t, problems, 1)
		assert.Equal(t, problem.Changing, problems[0].Reason)
	})
}

// A file that was emptied a moment ago may be about to be filled. One that is
// written all the time is taken as it is.
func TestAFileThatWasJustWrittenIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.yaml")
	write(t, "", name)
	synctest.Test(t, func(t *testing.T) {
		f, err := New([]string{name}, roomy)
		require.NoError(t, err)
		require.NoError(t, os.Chtimes(name, time.Time{}, time.Now()))
		looks := 0
		f.looked = func() {
			if looks++; looks == 2 {
				write(t, "filled", name)
				require.NoError(t, os.Chtimes(name, time.Time{}, time.Now()))
			}
		}
		files, problems := f.Read(t.Context())
		require.Empty(t, problems)
		assert.Equal(t, "filled", string(files[0].Content))

		f.looked = func() {}
		written := make(chan struct{})
		go func() { // always between two tries
			defer close(written)
			for range tries {
				assert.NoError(t, os.Chtimes(name, time.Time{}, time.Now()))
				time.Sleep(pause)
			}
		}()
		time.Sleep(pause / 2)
		began := time.Now()
		files, problems = f.Read(t.Context())
		require.Empty(t, problems)
		assert.Len(t, files, 1)
		assert.Equal(t, (tries-1)*pause, time.Since(began))
		<-written
	})
}

package publish

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "rules"))
	require.NoError(t, err)
	return s
}

func set(content string) Set { return Set{"a.yaml": []byte(content), "b.yaml": []byte("b")} }

// sets counts the folders of sets.
func sets(t *testing.T, s *Store) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, prefix+"*"))
	require.NoError(t, err)
	return len(found)
}

func assertCurrent(t *testing.T, s *Store, want Set) {
	t.Helper()
	got, err := s.Current()
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestASetIsPublishedForAnyUser(t *testing.T) {
	s := open(t)
	_, err := s.Current()
	assert.ErrorIs(t, err, ErrNone)
	require.NoError(t, s.Publish(set("1")))
	assertCurrent(t, s, set("1"))
	for name, mode := range map[string]os.FileMode{"current/": 0o755, "current/a.yaml": 0o644} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode().Perm(), name)
	}
	require.NoError(t, s.Publish(Set{}))
	assertCurrent(t, s, Set{})
}

// The way back leads to the last set that a ruler took, however many came after it,
// also for another process.
func TestGoBack(t *testing.T) {
	s := open(t)
	assert.ErrorIs(t, s.GoBack(), ErrNone)
	require.NoError(t, s.Publish(set("1")))
	assert.False(t, s.CanGoBack())
	require.NoError(t, s.Confirm(true))
	require.NoError(t, s.Publish(set("2")))
	require.NoError(t, s.Publish(set("3")))
	assert.Equal(t, 2, sets(t, s), "2 is of no use to anyone")
	again, err := Open(s.dir)
	require.NoError(t, err)
	require.True(t, again.CanGoBack())
	require.NoError(t, again.GoBack())
	assertCurrent(t, again, set("1"))
	assert.False(t, again.CanGoBack())

	require.NoError(t, s.Publish(set("4")))
	require.NoError(t, s.Confirm(true))
	assert.False(t, s.CanGoBack())
	assert.Equal(t, 1, sets(t, s))
	assertCurrent(t, s, set("4"))
}

func TestARefusalIsRememberedUntilTheNewestIsTaken(t *testing.T) {
	s := open(t)
	key, why := s.Refused()
	assert.Empty(t, key+why)
	require.NoError(t, s.Refuse("k", "two\nlines"))
	require.NoError(t, s.Confirm(false))
	key, why = s.Refused()
	assert.Equal(t, []string{"k", "two\nlines"}, []string{key, why})
	require.NoError(t, s.Confirm(true))
	key, _ = s.Refused()
	assert.Empty(t, key)
}

// A process may have ended anywhere; what it left neither hinders nor stays.
func TestLeftoversDoNotHinder(t *testing.T) {
	s := open(t)
	require.NoError(t, s.Publish(set("1")))
	require.NoError(t, os.Mkdir(filepath.Join(s.dir, "set-half"), 0o700))
	require.NoError(t, os.Symlink("set-half", filepath.Join(s.dir, "current.new")))
	require.NoError(t, s.Publish(set("2")))
	assertCurrent(t, s, set("2"))
	assert.NoDirExists(t, filepath.Join(s.dir, "set-half"))
}

// If it cannot write, what was published stays.
func TestAFailureChangesNothing(t *testing.T) {
	s := open(t)
	require.NoError(t, s.Publish(set("1")))
	require.Error(t, s.Publish(Set{"a.yaml": []byte("2"), "no/folder.yaml": nil}))
	assertCurrent(t, s, set("1"))
	assert.Equal(t, 1, sets(t, s))
	_, err := Open(filepath.Join(s.dir, "current", "a.yaml", "x"))
	assert.ErrorContains(t, err, "make the folder of published rules")
}

func TestNamesAreUniqueAndSafe(t *testing.T) {
	long := strings.Repeat("é", 120)
	paths := []string{
		"/rules/a/rules.yaml", "/rules/b/rules.yaml", "/other/a/rules.yaml", "/rules/a/rules.yml", "/rules/a/rules",
		"/rules/a/r les.yaml", "/rules/a/r\xffles.yaml", "rules.yaml", "/x/" + long + "/" + long + ".yaml",
	}
	names := map[string]bool{}
	for _, path := range paths {
		name := Name(path)
		assert.Regexp(t, `^[a-zA-Z0-9._-]{1,255}\.yaml$`, name)
		assert.False(t, names[name], "%s has the name of another", path)
		names[name] = true
	}
	assert.Equal(t, "a-b1faf222-rules.yaml", Name("/rules/a/rules.yaml"), "another name loses the state of alerts")
}

func TestKeysTellSetsApart(t *testing.T) {
	keys := map[string]bool{}
	for _, s := range []Set{nil, {"a": nil}, {"b": nil}, {"a": []byte("b")}, {"a": nil, "b": nil}, {"ab": nil}, {"a": []byte(`"b" 0` + "\n")}} {
		assert.False(t, keys[s.Key()], "%v", s)
		keys[s.Key()] = true
	}
	assert.Equal(t, Set{"a": []byte("1"), "b": nil}.Key(), Set{"b": []byte{}, "a": []byte("1")}.Key())
}

package members

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestFileFormat(t *testing.T) {
	parses := func(text string, want ...Hub) {
		t.Helper()
		hubs, err := parseHubFile([]byte(text), parseYAML)
		assert.NoError(t, err, "%s", text)
		assert.Equal(t, want, hubs, "%s", text)
	}
	parses("- targets: [a:9091, 'b:9091']\n- targets:\n  - c:1\n", Hub{URL: "http://a:9091"}, Hub{URL: "http://b:9091"}, Hub{URL: "http://c:1"})
	parses("[\n\t{\n\t\t\"targets\": [\"a:9091\"],\n\t\t\"labels\": {\"name\": \"hub\", \"__weight__\": \"2.5\", \"__scheme__\": \"https\"}\n\t}\n]",
		Hub{Name: "hub", URL: "https://a:9091", Weight: 2.5})
	parses("- targets: [a:1, b:1]\n  labels: {__weight__: 3}", Hub{URL: "http://a:1", Weight: 3}, Hub{URL: "http://b:1", Weight: 3})
	parses("- targets: ['https://a/hub/', b:1]\n  labels: {__scheme__: http}", Hub{URL: "https://a/hub/"}, Hub{URL: "http://b:1"})
	parses("- targets: ['[2001:db8::1]:9091', 10.0.0.1:80]", Hub{URL: "http://[2001:db8::1]:9091"}, Hub{URL: "http://10.0.0.1:80"})
	parses("- targets: [a:1]\n  labels: {name: '', __weight__: null, env: ''}\n# the end\n", Hub{URL: "http://a:1"})
	const circle = "consistent/partitions=271/replicas=20/load=1.25"
	parses("- targets: [a:1]\n  labels: {__placement__: consistent/replicas=20, __weight__: 2}\n- targets: ['https://b']\n  labels: {__placement__: "+circle+"}",
		Hub{URL: "http://a:1", Weight: 2, Placement: circle}, Hub{URL: "https://b", Placement: circle})
	parses("- targets: [a:1]\n  labels: {__placement__: rendezvous}\n- targets: [b:1]", Hub{URL: "http://a:1", Placement: "rendezvous"}, Hub{URL: "http://b:1"})
	parses("\ufeff- targets: [a:1]\r\n  labels: {}\r\n", Hub{URL: "http://a:1"})
	parses("---\n- targets: &all [a:1]\n  labels: {__weight__: 1}\n...\n", Hub{URL: "http://a:1", Weight: 1})
	parses("[]")
	parses("null")
}

func TestFileFormatErrors(t *testing.T) {
	// refuses says all of the messages, one a line.
	refuses := func(text string, messages ...string) {
		t.Helper()
		_, err := parseHubFile([]byte(text), parseYAML)
		require.Error(t, err, "%s", text)
		for _, m := range messages {
			assert.ErrorContains(t, err, m)
		}
		if len(messages) > 1 {
			assert.Len(t, strings.Split(err.Error(), "\n"), len(messages), err)
		}
	}
	refuses("", "it is empty")
	refuses("# no hub yet\n", "it is empty")
	refuses(`[{"targets": ["a:1"]}, {"targ`, "yaml: ")
	refuses("- targets: [a:1", "yaml: ")
	refuses("- target: [a:1]", `line 1: field "target" is unknown`)
	refuses("- targets: [a:1]\n  source: x", `line 2: field "source" is unknown`)
	refuses("- targets: a:1", "line 1: a list of targets is needed")
	refuses("- targets: [{a: 1}]", "line 1: a target is needed")
	refuses("targets: [a:1]", "line 1: a list of groups is needed")
	refuses("- a:1", "line 1: a mapping of targets and labels is needed")
	refuses("- targets: [a:1]\n  labels: [name]", "line 2: a mapping of labels is needed")
	refuses("- targets: [a:1]\n  labels: {name: [b]}", "line 2: a value of the label is needed")
	refuses("- targets: [a:1]\n  targets: [b:1]", `line 2: "targets" is there twice`)
	refuses("- targets: [a:1]\n---\n- targets: [b:1]\n", "something behind")
	refuses("- targets: [a:1]\n---\n{", "something behind")
	refuses("-\n- targets: []\n- labels: {}\n", "line 1: the group has no targets", "line 2: the group has no targets", "line 3: the group has no targets")
	refuses("- targets: [a:1, b:1]\n  labels: {name: ab, __weight__: heavy, __scheme__: ftp, wieght: 2}",
		`__scheme__ is "ftp"`, `__weight__ is "heavy"`, `2 targets cannot have the one name "ab"`, `label "wieght" is unknown: __scheme__, __weight__, __placement__ and name`)
	refuses("- targets: [a:1]\n  labels: {__weight__: 0}", `line 1: __weight__ is "0"`)
	refuses("- targets: [a:1]\n  labels: {__placement__: jump}", `line 1: __placement__: placement "jump": it must be rendezvous or consistent`)
	refuses("- targets: [a:1]\n  labels: {__placement__: consistent/load=-1/replicas=5000}", "line 1: __placement__: ", "Load is -1")
	refuses("- targets: [a:1]\n- targets: [b:1]\n  labels: {__placement__: consistent}\n- targets: [c:1]\n  labels: {__placement__: jump}\n",
		"line 2: the group is to be placed by consistent/partitions=271/replicas=20/load=1.25 and that of line 1 by rendezvous: all need the same __placement__",
		`line 4: __placement__: placement "jump"`)
	refuses("- targets: [a]", `target "a" is neither host:port nor a URL`)
	for _, target := range []string{"user@a:1", "a/b:1", "a b:1", "a?b:1", "a#b:1", "a%zz:1", "a:b:1", "[a]:1]"} {
		refuses("- targets: ['"+target+"']", "neither host:port nor a URL")
	}
	refuses("- targets: [a:1]\n- targets: [':1', 'a:', 'a:0', 'a:65536', 'a:http', '2001:db8::1']",
		`line 2: target ":1"`, `"a:"`, `"a:0"`, `"a:65536"`, `"a:http"`, `"2001:db8::1"`)
}

// hostileFiles are small enough to be read and would grow without bound if they were
// taken at their word.
func hostileFiles() map[string]string {
	return map[string]string{
		"aliases of targets": "- targets: &a [" + strings.Repeat("a:1,", 30_000) + "]\n" + strings.Repeat("- targets: *a\n", 10_000),
		"aliases of labels":  "- targets: [a:1]\n  labels: &a {" + numbered("a%d: 1,", 30_000) + "}\n" + strings.Repeat("- {targets: [a:1], labels: *a}\n", 20_000),
		"aliases of groups":  "- &a\n  targets: [a:1]\n" + strings.Repeat("- *a\n", 50_000),
		"labels":             "- targets: [a:1]\n  labels: {" + numbered("a%d: 1,", 100_000) + "}",
	}
}

func TestHostileFileIsRefusedInFewWords(t *testing.T) {
	for name, text := range hostileFiles() {
		require.LessOrEqual(t, len(text), maxHubFileBytes, name)
		hubs, err := parseHubFile([]byte(text), parseYAML)
		if err == nil {
			_, err = Check(hubs)
		}
		require.Error(t, err, name)
		assert.Less(t, len(err.Error()), 2000, name)
	}
}

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// URLs are looked at when the set is checked.
func TestFileURLsAreChecked(t *testing.T) {
	for _, target := range []string{"ftp://a", "http://", "http://u:p@a", "http://a?b=c", "http://%zz"} {
		hubs, err := parseHubFile(fmt.Appendf(nil, "- targets: ['%s']", target), parseYAML)
		require.NoError(t, err, target)
		_, err = Check(hubs)
		assert.ErrorContains(t, err, "URL", target)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func TestFileReads(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hubs.yaml")
	hubs := func() ([]Hub, error) { return File{Path: path}.Hubs(context.Background()) }

	_, err := hubs()
	assert.ErrorIs(t, err, os.ErrNotExist)
	write(t, path, "- targets: [a:1]")
	found, err := hubs()
	require.NoError(t, err)
	assert.Equal(t, []Hub{{Name: "a:1", URL: "http://a:1", Weight: 1}}, found)

	write(t, path, "- targets: [a]")
	_, err = hubs()
	assert.EqualError(t, err, fmt.Sprintf(`read the hubs of %q: line 1: target "a" is neither host:port nor a URL`, path))

	// As large as it may be, and larger.
	text := "- targets: [a:1]\n#"
	write(t, path, text+strings.Repeat("x", 1<<20-len(text)))
	_, err = hubs()
	assert.NoError(t, err)
	write(t, path, text+strings.Repeat("x", 1<<20-len(text)+1))
	_, err = hubs()
	assert.ErrorContains(t, err, "more than 1048576 bytes")

	for _, path := range []string{dir, os.DevNull} {
		_, err = File{Path: path}.Hubs(context.Background())
		assert.ErrorContains(t, err, "not a regular file")
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = File{Path: path}.Hubs(ended)
	assert.ErrorIs(t, err, context.Canceled)

	assert.NoError(t, File{Path: "/nowhere"}.Validate())
	assert.ErrorContains(t, File{}.Validate(), "File.Path is empty")
	_, err = File{}.Hubs(context.Background())
	assert.ErrorContains(t, err, "File.Path is empty")
}

// fileWrittenTo is changed by the first read.
type fileWrittenTo struct {
	*os.File
	change func()
}

func (f *fileWrittenTo) Read(p []byte) (int, error) {
	if f.change != nil {
		f.change()
		f.change = nil
	}
	return f.File.Read(p)
}

// A file that is being written is not believed, however good it looks.
func TestFileIsLeftAloneWhileItIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hubs.yaml")
	read := func(change func(f *os.File)) error {
		write(t, path, "- targets: [a:1]\n- targets: [b:1]\n")
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		defer f.Close()
		_, err = readStill(&fileWrittenTo{f, func() { change(f) }})
		return err
	}
	assert.NoError(t, read(func(*os.File) {}))
	assert.ErrorContains(t, read(func(f *os.File) {
		require.NoError(t, os.Chtimes(f.Name(), time.Time{}, time.Unix(1, 0))) // as after a write
	}), "it is being written")
	assert.ErrorContains(t, read(func(f *os.File) { // within the same tick of the file system's clock
		info, err := f.Stat()
		require.NoError(t, err)
		require.NoError(t, f.Truncate(17))
		_, err = f.Seek(0, io.SeekStart)
		require.NoError(t, err)
		require.NoError(t, os.Chtimes(f.Name(), time.Time{}, info.ModTime()))
	}), "it is being written")
}

// Whatever a file has, hubs that pass all checks are the same when they are
// written into a file of their own.
func FuzzHubFile(f *testing.F) {
	for _, seed := range []string{
		"- targets: [a:1, b:1]\n  labels: {__weight__: '2', __scheme__: https}\n",
		`[{"targets": ["http://a/b"], "labels": {"name": "hub"}}]`,
		"- &x\n  targets: ['[::1]:80']\n- targets: [\"\\x7f:1\"]\n- *x\n",
		"- targets: [a%41:1, 'b ä:1']\n---\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		hubs, err := parseHubFile(text, parseYAML)
		if err != nil {
			return
		}
		if hubs, err = Check(hubs); err != nil {
			return
		}
		var groups []map[string]any
		for _, h := range hubs {
			groups = append(groups, map[string]any{
				"targets": []string{h.URL},
				"labels":  map[string]any{nameLabel: h.Name, weightLabel: h.Weight},
			})
		}
		again, err := yaml.Marshal(groups)
		require.NoError(t, err)
		parsed, err := parseHubFile(again, parseYAML)
		require.NoError(t, err, "%s", again)
		parsed, err = Check(parsed)
		require.NoError(t, err, "%s", again)
		assert.Equal(t, hubs, parsed)
	})
}

// The largest set, read and checked: go test -bench HubFile ./exporter/members
func BenchmarkHubFile(b *testing.B) {
	var text strings.Builder
	for i := range 4096 {
		fmt.Fprintf(&text, "- targets: [edgehub-%d.edgehub.monitoring.svc.cluster.local:9091]\n  labels: {__weight__: 2}\n", i)
	}
	b.ReportAllocs()
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		hubs, err := parseHubFile([]byte(text.String()), parseYAML)
		require.NoError(b, err)
		_, err = Check(hubs)
		require.NoError(b, err)
	}
}

// What nobody should write, read until it is refused, in little time and memory:
// go test -bench HostileFile ./exporter/members
func BenchmarkHostileFile(b *testing.B) {
	for name, text := range hostileFiles() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				hubs, err := parseHubFile([]byte(text), parseYAML)
				if err == nil {
					_, err = Check(hubs)
				}
				require.Error(b, err)
			}
		})
	}
}

package members

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A file is JSON by its name, and to the letter then.
func TestFileOfJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hubs.JSON")
	parses := func(text string, want ...Hub) {
		t.Helper()
		write(t, path, text)
		hubs, err := File{Path: path}.Hubs(t.Context())
		require.NoError(t, err, "%s", text)
		assert.Len(t, hubs, len(want))
		for i := range want {
			assert.Equal(t, want[i].WithDefaults(), hubs[i], "%s", text)
		}
	}
	refuses := func(text string, messages ...string) {
		t.Helper()
		write(t, path, text)
		_, err := File{Path: path}.Hubs(t.Context())
		require.Error(t, err, "%s", text)
		for _, m := range messages {
			assert.ErrorContains(t, err, m)
		}
		assert.Len(t, strings.Split(err.Error(), "\n"), len(messages), err)
	}
	parses("[\n\t{\n\t\t\"targets\": [\"a:1\", \"b:1\"],\n\t\t\"labels\": {\"__weight__\": \"2.5\"}\n\t}\n]",
		Hub{URL: "http://a:1", Weight: 2.5}, Hub{URL: "http://b:1", Weight: 2.5})
	parses(`[{"targets": ["https:\/\/a:1"], "labels": {"name": "\ud83d\ude00\u00e9"}}]`, Hub{Name: "😀é", URL: "https://a:1"})
	parses(`[{"targets": ["a:1"], "labels": {"name": null}}, {"targets": ["b:1"], "labels": null}]`, Hub{URL: "http://a:1"}, Hub{URL: "http://b:1"})
	parses("[]")
	parses("null")

	refuses("", "it is empty")
	refuses(" \n", "it is empty")
	refuses("- targets: [a:1]\n", "json: line 1: invalid character")
	refuses("[{\"targets\":\n[a:1]}]", "json: line 2: invalid character 'a'")
	refuses("# hubs\n[]", "json: line 1: ")
	refuses(`[{"targets": ["a:1"],}]`, "json: ")
	refuses(`[{"targets": ["a:1",]}]`, "json: ")
	refuses(`[{"targets": ['a:1']}]`, "json: ")
	refuses(`[{"targets": ["a:1"]}, {"targ`, "unexpected end of JSON input")
	refuses(`[] []`, "json: line 1: invalid character '[' after top-level value")
	refuses("[{\"targets\": [\"a:\xff\"]}]", "not valid UTF-8")
	refuses("[{\n\"targets\": [\"a:1\", 7],\n\"labels\": {\"__weight__\": 2, \"name\": true}}]",
		"line 2: 7 is no string", "line 3: 2 is no string", "line 3: true is no string")
	refuses("[\n{\"targets\": [\"a:1\"],\n\"targets\": [\"b:1\"]}]", `line 3: "targets" is there twice`)
	refuses(`[{"Targets": ["a:1"]}]`, `field "Targets" is unknown`, "the group has no targets")
	refuses(`{"targets": ["a:1"]}`, "line 1: a list of groups is needed")
	refuses(`[{"targets": [["a:1"]]}]`, "a target is needed", "is neither host:port nor a URL")
	refuses(strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000), "exceeded max depth")
	refuses("["+strings.Repeat(`1,`, 100_000)+"1]", "1 is no string", "", "", "", "", "", "", "", "", "", "and 99991 more")

	path = filepath.Join(filepath.Dir(path), "hubs.yml")
	parses("# hubs\n- targets: [a:1]\n  labels: {__weight__: 2}", Hub{URL: "http://a:1", Weight: 2})
}

package shard

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shards.yaml")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestReadFile(t *testing.T) {
	got, err := ReadFile(write(t, `
shards:
  - name: "0"
    servers: ["http://prometheus-0:9090", "http://prometheus-b-0:9090/prefix/"]
  - name: one
    servers: [https://vm-1:8428]
    kind: victoriametrics
`))
	require.NoError(t, err)
	assert.Equal(t, []Config{
		{Name: "0", Servers: []string{"http://prometheus-0:9090", "http://prometheus-b-0:9090/prefix/"}, Kind: Prometheus},
		{Name: "one", Servers: []string{"https://vm-1:8428"}, Kind: VictoriaMetrics},
	}, got)
}

// Each fault is one line that says what is wrong.
func TestFaultsOfAFile(t *testing.T) {
	one := func(fields string) string { return "shards:\n- {" + fields + "}\n" }
	for content, says := range map[string]string{
		"":                                       "there is no shard",
		"shards: []":                             "there is no shard",
		"shards: 7":                              "cannot unmarshal",
		"shard:\n- name: x\n":                    "field shard not found",
		"shards:\n- nam: x\n":                    "field nam not found",
		"shards: [":                              "did not find expected node content",
		"\x00":                                   "control characters",
		one(`servers: [http://a]`):               "shard number 1 has no name",
		one(`name: "a\nb", servers: [http://a]`): `shard "a\nb": a name is 200 bytes of text on one line at most`,
		one(`name: ` + strings.Repeat("x", 201) + `, servers: [http://a]`):                        "a name is 200 bytes",
		one(`name: a, servers: []`):                                                               `shard "a" has 0 servers; it is one, or a pair`,
		one(`name: a, servers: [http://a, http://b, http://c]`):                                   `shard "a" has 3 servers`,
		one(`name: a, kind: graphite, servers: [http://a]`):                                       `kind "graphite" is neither "prometheus" nor "victoriametrics"`,
		one(`name: a, servers: [prometheus-0:9090]`):                                              `"prometheus-0:9090" is no address of a server, such as http://prometheus-0:9090`,
		one(`name: a, servers: ["http://"]`):                                                      "is no address of a server",
		one(`name: a, servers: ["http://:9090"]`):                                                 "is no address of a server",
		one(`name: a, servers: ["ftp://a"]`):                                                      "is no address of a server",
		one(`name: a, servers: ["http://a/?x=1"]`):                                                "is no address of a server",
		one(`name: a, servers: ["http://a/#x"]`):                                                  "is no address of a server",
		one(`name: a, servers: ["http://a b"]`):                                                   "is no address of a server",
		one(`name: a, servers: ["http://me:secret@a:9090"]`):                                      "the address of a:9090 has a password in it",
		one(`name: a, servers: [http://a:9090, "http://A:9090/"]`):                                `shard "a" has the server http://A:9090/ twice`,
		"shards:\n- {name: a, servers: [http://a]}\n- {name: a, servers: [http://b]}\n":           `shard "a" is there twice`,
		"shards:\n- {name: a, servers: [http://a]}\n- {name: b, servers: [\"http://a:80/\"]}\n":   `server http://a:80/ is in shard "a" and in "b"`,
		"shards:\n- {name: a, servers: [https://a]}\n- {name: b, servers: [\"https://a:443\"]}\n": `is in shard "a" and in "b"`,
		strings.Repeat(" ", mostFileBytes+1):                                                      "larger than",
	} {
		path := write(t, content)
		_, err := ReadFile(path)
		if assert.Error(t, err, "%.100q", content) {
			assert.Contains(t, err.Error(), says)
			assert.True(t, strings.HasPrefix(err.Error(), path+": "))
			assert.NotContains(t, err.Error(), "\n")
			assert.NotContains(t, err.Error(), "secret")
		}
	}
	_, err := ReadFile(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)

	// All of them at once, a line each.
	_, err = ReadFile(write(t, "shards:\n- {name: a, servers: []}\n- {name: b, servers: [x]}\n- {servers: [http://a]}\n"))
	require.Error(t, err)
	assert.Len(t, strings.Split(err.Error(), "\n"), 3)
}

func TestParseFlag(t *testing.T) {
	got, err := ParseFlag("0=http://a:9090,http://b:9090")
	require.NoError(t, err)
	assert.Equal(t, Config{Name: "0", Servers: []string{"http://a:9090", "http://b:9090"}, Kind: Prometheus}, got)
	_, err = ParseFlag("http://a:9090")
	require.ErrorContains(t, err, "NAME=URL")
}

// Shards with the same servers stay what they are, and what is known of them; those that are gone
// leave no metric behind.
func TestUse(t *testing.T) {
	a := Config{Name: "a", Servers: []string{"http://a"}, Kind: Prometheus}
	b := Config{Name: "b", Servers: []string{"http://b"}, Kind: Prometheus}
	set, reg := newSet(t, a, b)
	before := set.All()
	set.up.WithLabelValues("a").Set(1)
	set.up.WithLabelValues("b").Set(1)
	other := b
	other.Kind = VictoriaMetrics
	require.NoError(t, set.Use([]Config{other, a}))
	assert.Same(t, before[0], set.All()[1])
	assert.NotSame(t, before[1], set.All()[0])
	require.NoError(t, set.Use([]Config{a}))
	families, err := reg.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	assert.Len(t, families[0].GetMetric(), 1)
}

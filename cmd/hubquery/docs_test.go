package main

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the library for flags adds by itself.
var generated = map[string]bool{"`--help-long": true, "`--help-man": true, "`--completion-bash": true, "`--completion-script-bash": true, "`--completion-script-zsh": true}

// Every flag is in the page about hubquery.
func TestFlagsAreWrittenDown(t *testing.T) {
	page, err := os.ReadFile("../../docs/hubquery.md")
	require.NoError(t, err)
	help, err := hubquery(t.Context(), "--help").Output()
	require.NoError(t, err)
	flags := regexp.MustCompile(`(?m)^ +(?:-h, )?--(?:\[no-\])?([a-z.-]+)`).FindAllSubmatch(help, -1)
	require.Greater(t, len(flags), 20)
	for _, f := range flags {
		if name := "`--" + string(f[1]); !generated[name] {
			assert.True(t, bytes.Contains(page, []byte(name)), name)
		}
	}
}

// writtenDown checks that every metric of a page of them is, too.
func writtenDown(t *testing.T, metrics string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/hubquery.md")
	require.NoError(t, err)
	names := regexp.MustCompile(`(?m)^# TYPE (hubquery_[a-z_]+) `).FindAllStringSubmatch(metrics, -1)
	require.Greater(t, len(names), 10)
	for _, n := range names {
		if n[1] != "hubquery_build_info" {
			assert.True(t, bytes.Contains(page, []byte("`"+n[1])), n[1])
		}
	}
}

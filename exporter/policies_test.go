package exporter

import (
	"encoding"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Policies have one word each, in files, flags, messages and on the status page.
func TestPoliciesAsText(t *testing.T) {
	is := func(p encoding.TextMarshaler, word string, into encoding.TextUnmarshaler, value func() any) {
		t.Helper()
		text, err := p.MarshalText()
		require.NoError(t, err)
		assert.Equal(t, word, string(text))
		assert.Equal(t, word, fmt.Sprint(p))
		require.NoError(t, into.UnmarshalText(text))
		assert.Equal(t, p, value())
		for _, bad := range []string{"", word + "x", "RefuseNew", "0"} {
			assert.ErrorContains(t, into.UnmarshalText([]byte(bad)), fmt.Sprintf("%q: use ", bad))
			assert.Equal(t, p, value(), "as it was")
		}
	}
	var o OverflowPolicy
	var f FailoverPolicy
	var s SpoolPolicy
	var r Receivers
	overflow, failover, receivers, spool := func() any { return o }, func() any { return f }, func() any { return r }, func() any { return s }
	is(DropOldest, "drop_oldest", &o, overflow)
	is(RefuseNew, "refuse_new", &o, overflow)
	is(WaitForOwner, "wait_for_owner", &f, failover)
	is(NextHub, "next_hub", &f, failover)
	is(SpoolAll, "all", &s, spool)
	is(SpoolOverflow, "overflow", &s, spool)
	is(HubsAndOthers, "hubs_and_others", &r, receivers)
	is(HubsOnly, "hubs_only", &r, receivers)

	unknown := OverflowPolicy(7)
	assert.Equal(t, "OverflowPolicy(7)", unknown.String())
	_, err := unknown.MarshalText()
	assert.ErrorContains(t, err, "OverflowPolicy(7) has no word")
	assert.Equal(t, "FailoverPolicy(-1)", FailoverPolicy(-1).String())
}

func TestPoliciesInFilesAndFlags(t *testing.T) {
	var file struct {
		Overflow OverflowPolicy
		Failover FailoverPolicy
	}
	require.NoError(t, json.Unmarshal([]byte(`{"overflow": "drop_oldest", "failover": "wait_for_owner"}`), &file))
	assert.Equal(t, DropOldest, file.Overflow)
	assert.Equal(t, WaitForOwner, file.Failover)

	flags := flag.NewFlagSet("controller", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var receivers Receivers
	flags.TextVar(&receivers, "receivers", HubsOnly, "")
	require.NoError(t, flags.Parse([]string{"--receivers=hubs_and_others"}))
	assert.Equal(t, HubsAndOthers, receivers)
	assert.ErrorContains(t, flags.Parse([]string{"--receivers=all"}), "use hubs_only or hubs_and_others")
}

package process

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func shell(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(Spec{Name: "shell", Path: "/bin/sh", Args: []string{"-c", script}, LogDir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(p.Kill)
	return p
}

func TestKillEndsTheWholeGroup(t *testing.T) {
	p := shell(t, `echo 'level=INFO msg="Listening on" address=127.0.0.1:4711'; sleep 600`)
	address, err := p.WaitListening(t.Context())
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:4711", address)

	p.Kill()
	require.Error(t, p.Wait(0))
	p.Kill() // once more does nothing
}

func TestStopReportsTheStatus(t *testing.T) {
	p := shell(t, `trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done`)
	_, err := p.WaitLog(t.Context(), regexp.MustCompile(`ready`))
	require.NoError(t, err)
	require.ErrorContains(t, p.Stop(10*time.Second), "exit status 3")
}

func TestWaitingForADeadProgramEndsWithItsLog(t *testing.T) {
	p := shell(t, `echo cannot find my socks; exit 1`)
	_, err := p.WaitLog(t.Context(), regexp.MustCompile(`never`))
	require.ErrorContains(t, err, "it ended (exit status 1)")
	require.ErrorContains(t, err, "cannot find my socks")
}

func TestLogTailHasWholeLines(t *testing.T) {
	p := shell(t, `echo one; echo two; echo three`)
	require.NoError(t, p.Wait(10*time.Second))
	require.Equal(t, "one\ntwo\nthree\n", p.LogTail(1000))
	require.Equal(t, "[...]\nthree\n", p.LogTail(8))
}

func TestFreeAddressIsOutsideTheKernelsRange(t *testing.T) {
	address, err := FreeAddress()
	require.NoError(t, err)
	require.Regexp(t, `^127\.0\.0\.1:(1[5-9]|2|3[01])\d+$`, address)
}

func TestSuspendHaltsUntilResume(t *testing.T) {
	p := shell(t, `trap 'exit 3' TERM; echo ready; while :; do :; done`)
	_, err := p.WaitLog(t.Context(), regexp.MustCompile(`ready`))
	require.NoError(t, err)
	require.NoError(t, p.Suspend(t.Context()))
	require.NoError(t, p.Terminate())
	require.ErrorContains(t, p.Wait(50*time.Millisecond), "still runs")
	require.NoError(t, p.Resume())
	require.ErrorContains(t, p.Wait(10*time.Second), "exit status 3")
}

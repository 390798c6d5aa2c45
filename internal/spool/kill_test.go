package spool

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func childConfig(dir string) Config {
	return Config{Dir: dir, MaxBytes: 1 << 30, SegmentBytes: 100_000}
}

// child appends for ever, is done with every third record, and says so when it is sure.
func child(dir string) {
	s, err := Open(childConfig(dir))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		r := numbered(i, 5000+i%977)
		ref, err := s.Append([]byte(r.meta), []byte(r.body))
		word := "appended"
		if err == nil && i%3 == 0 {
			err = s.Done(ref)
			word = "done"
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(word, i)
	}
}

// A process that is killed leaves all that it had said.
func TestKill(t *testing.T) {
	for _, lines := range []int{1, 7, 500} {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		said := bufio.NewScanner(out)
		confirmed := 0
		for said.Scan() {
			var i int
			var word string
			_, err := fmt.Sscan(said.Text(), &word, &i)
			require.NoError(t, err, said.Text())
			require.Equal(t, confirmed, i)
			confirmed++
			if confirmed == lines {
				_, err := Open(childConfig(dir))
				require.ErrorIs(t, err, ErrLocked)
				if strings.Contains(err.Error(), "by process") {
					require.ErrorContains(t, err, strconv.Itoa(cmd.Process.Pid))
				}
				require.NoError(t, cmd.Process.Kill())
			}
		}
		require.NoError(t, said.Err())
		require.Error(t, cmd.Wait())
		require.GreaterOrEqual(t, confirmed, lines)

		s := mustOpen(t, childConfig(dir))
		var want []record
		for i := range confirmed {
			if i%3 != 0 {
				want = append(want, numbered(i, 5000+i%977))
			}
		}
		got := recovered(t, s)
		for i := range got {
			got[i].ref = Ref{}
		}
		if len(got) == len(want)+1 { // one that it had not come to say
			want = append(want, numbered(confirmed, 5000+confirmed%977))
		}
		assert.Equal(t, want, got)
		lost, _ := s.Lost()
		assert.LessOrEqual(t, lost, 1, "the one that was being appended")
		require.NoError(t, s.Close())
	}
}

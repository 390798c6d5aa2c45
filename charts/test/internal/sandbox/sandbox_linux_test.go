package sandbox

import (
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestTheHostSeesNothingOfASandbox(t *testing.T) {
	folder := t.TempDir()
	if !Inside() {
		t.Setenv("OUTER", folder)
	}
	Run(t, []string{"GIVEN=yes"}, func(t *testing.T) {
		assert.Equal(t, "yes", os.Getenv("GIVEN"))
		assert.Equal(t, 1, os.Getpid())
		interfaces, err := net.Interfaces()
		require.NoError(t, err)
		assert.Len(t, interfaces, 1, "only the loopback")
		require.NoError(t, unix.Mount("tmpfs", os.Getenv("OUTER"), "tmpfs", 0, ""))
		require.NoError(t, os.WriteFile(os.Getenv("OUTER")+"/file", nil, 0o600))
	})
	if !Inside() {
		assert.NoFileExists(t, folder+"/file", "the sandbox's mount is the host's, too")
	}
}

func TestASubtest(t *testing.T) {
	t.Run("with a name (like/this)", func(t *testing.T) {
		Run(t, nil, func(t *testing.T) { assert.True(t, Inside()) })
	})
}

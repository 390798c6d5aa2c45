package container

import "os"

// Spec says what to start and what it finds.
type Spec struct {
	Root     string            // an empty folder of the host to make the root in; containers may share it
	Program  string            // on the host
	Path     string            // of the program in the container
	Args     []string          // without the program's name
	Env      []string          // all of it, NAME=value
	Dir      string            // working directory; it is made if it is not there
	Hostname string            // as the program is told
	Files    map[string]string // small files of the root, such as /etc/hosts
	Mounts   []Mount
	ReadOnly bool  // whether the root cannot be written to
	UID, GID int   // whom it runs as
	Groups   []int // beside GID

	Log *os.File `json:"-"` // takes what the program prints
}

// Mount is a folder or a file of the host in the container.
type Mount struct {
	Source   string
	Target   string
	ReadOnly bool
}

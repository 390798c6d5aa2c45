package process

// PID returns the program's process ID, to look it up with the kernel. Once
// the program has ended the ID may be another's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

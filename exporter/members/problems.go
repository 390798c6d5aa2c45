package members

import (
	"errors"
	"fmt"
)

// problems are the faults of an answer. An answer of thousands of hubs may have
// as many; the first few tell what is wrong.
type problems struct {
	first []error
	more  int
}

const maxProblems = 10

func (p *problems) add(format string, args ...any) {
	if len(p.first) == maxProblems {
		p.more++
		return
	}
	p.first = append(p.first, fmt.Errorf(format, args...))
}

// join returns nil if there are none.
func (p *problems) join() error {
	if p.more > 0 {
		return errors.Join(append(p.first, fmt.Errorf("and %d more", p.more))...)
	}
	return errors.Join(p.first...)
}

package check

import (
	"fmt"
	"strconv"
	"strings"
)

// PartialResponse is what becomes of groups that name no partial_response_strategy.
type PartialResponse string

// The choices. Thanos' own default is to abort, which silences every alert while one
// of the servers behind the querier does not answer.
const (
	Warn  PartialResponse = "warn"  // they evaluate what there is
	Abort PartialResponse = "abort" // they are left as they are: Thanos aborts
	Keep  PartialResponse = "keep"  // they are left as they are, whatever Thanos does
)

// settleStrategy checks a group's strategy as Thanos reads it, in any case and with
// escapes, and gives the group one if it names none.
func (g *group) settleStrategy(otherwise PartialResponse) error {
	said, err := strconv.Unquote(`"` + g.Strategy + `"`)
	if err != nil {
		return fmt.Errorf("group %q: read partial_response_strategy %q: %w", g.Name, g.Strategy, err)
	}
	switch PartialResponse(strings.ToLower(said)) {
	case "":
		g.Strategy = ""
		if otherwise == Warn {
			g.Strategy = string(Warn)
		}
	case Warn:
		g.Strategy = string(Warn)
	case Abort:
		g.Strategy = string(Abort)
	default:
		return fmt.Errorf("group %q: partial_response_strategy is %q, it must be warn or abort", g.Name, g.Strategy)
	}
	return nil
}

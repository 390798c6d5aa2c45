package engine_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var (
	randomExprs = flag.Int("exprs", 60, "random expressions of TestRandomExpressionsAreEqual")
	randomSeed  = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of random expressions")
)

// TestRandomExpressionsAreEqual holds what comes of random expressions to what one server says, around moves.
func TestRandomExpressionsAreEqual(t *testing.T) {
	f := newFleet(t, 3)
	f.report("gw-0", true, 0, stay{0, 0, 60}, stay{1, 61, 130})
	f.report("gw-1", false, 1, stay{2, 0, 70}, stay{0, 71, 130})
	f.report("gw-2", true, 2, stay{1, 0, 50}, stay{2, 51, 64}, stay{1, 65, 130})
	for i := 3; i < 7; i++ {
		f.report(fmt.Sprintf("gw-%d", i), false, uint64(i), stay{i % 3, 0, 130})
	}
	for i := range 3 {
		f.plain(i, ramp(130, float64(i)), "__name__", "up", "instance", fmt.Sprintf("hub-%d", i), "job", "edgehub")
	}
	f.plain(1, ramp(130, 0.01), "__name__", "limit", "networkID", "net0")
	f.plain(1, ramp(130, 0.02), "__name__", "limit", "networkID", "net1")
	f.plain(1, ramp(130, 1), "__name__", "load", "host", "cloud-1")
	t.Logf("-seed=%d", *randomSeed)
	g := generator{rand.New(rand.NewPCG(*randomSeed, 1))}
	from := begin + 45*interval
	for range *randomExprs {
		expr := g.vector(3)
		t.Run(expr, func(t *testing.T) {
			at := from + int64(g.IntN(40*interval))
			f.compare(t, expr, at, at, 0)
			f.compare(t, expr, from+int64(g.IntN(5000)), from+40*interval, int64(5000+g.IntN(40_000)))
		})
	}
}

type generator struct{ *rand.Rand }

func pick[T any](g generator, all ...T) T { return all[g.IntN(len(all))] }

func (g generator) selector() string {
	name := pick(g, "load", "requests_total", "level", "up", "limit", "duration_bucket", `{__name__=~"load|level"}`)
	matcher := pick(g, "", "", "", `gatewayID="gw-0"`, `gatewayID=~"gw-[0-3]"`, `networkID="net1"`, `gatewayID!="gw-1"`, `gatewayID!=""`)
	if strings.HasPrefix(name, "{") {
		return strings.TrimSuffix(name, "}") + pick(g, "", `,gatewayID=~"gw-.*"`) + "}"
	}
	if matcher != "" {
		name += "{" + matcher + "}"
	}
	return name
}

func (g generator) modified(selector string) string {
	return selector + pick(g, "", "", "", "", " offset 1m", " offset -30s", fmt.Sprintf(" @ %d.5", (begin+60*interval)/1000), " @ end()")
}

func (g generator) labels() string {
	return pick(g, "", "gatewayID", "networkID", "networkID, gatewayID", "instance", "le", "gatewayID, le")
}

func (g generator) vector(depth int) string {
	if depth == 0 {
		return g.modified(g.selector())
	}
	switch g.IntN(12) {
	case 0:
		return g.modified(g.selector())
	case 1, 2:
		return fmt.Sprintf("%s(%s)", pick(g, "rate", "increase", "avg_over_time", "max_over_time", "count_over_time", "last_over_time", "changes", "resets", "delta", "deriv"),
			g.modified(g.selector()+pick(g, "[1m]", "[2m]", "[5m]")))
	case 3, 4, 5:
		return fmt.Sprintf("%s %s (%s) (%s)", pick(g, "sum", "avg", "min", "max", "count", "group", "stddev"), pick(g, "by", "without"), g.labels(), g.vector(depth-1))
	case 6:
		inner, parameter := g.vector(depth-1), pick(g, "0.5", "0.9", "scalar(max(level)) / 4")
		if strings.Contains(inner, "@") { // Prometheus then takes the first step's parameter for all steps
			parameter = "0.5"
		}
		return fmt.Sprintf("quantile %s (%s) (%s, %s)", pick(g, "by", "without"), g.labels(), parameter, inner)
	case 7:
		return fmt.Sprintf("(%s) %s %s", g.vector(depth-1), pick(g, "+", "-", "*", ">", "> bool", "<"), pick(g, "2", "scalar(sum(level))", "time()"))
	case 8:
		matching := pick(g, "", "", "ignoring (le)", "on (gatewayID)", "on (networkID)", "on (gatewayID, networkID)", "on ()", "ignoring (gatewayID)", "on (instance)")
		op := pick(g, "/", "+", "and", "or", "unless", ">", "== bool")
		return fmt.Sprintf("(%s) %s %s (%s)", g.vector(depth-1), op, matching, g.vector(depth-1))
	case 9:
		return fmt.Sprintf("%s((%s)%s)", pick(g, "max_over_time", "avg_over_time", "sum_over_time", "count_over_time"), g.vector(depth-1), pick(g, "[2m:20s]", "[3m:]", "[90s:7s] offset 30s"))
	case 10:
		return fmt.Sprintf("%s(%s)", pick(g, "abs", "absent", "timestamp", "floor", "exp", "-", "sgn"), g.vector(depth-1))
	default:
		return fmt.Sprintf(`label_replace(%s, "%s", "$1", "%s", "(.*)")`, g.vector(depth-1), pick(g, "x", "networkID", "gatewayID"), pick(g, "gatewayID", "networkID", "instance"))
	}
}

package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A deployment of prometheus-edge-hub starts a hub as it started that: what is told by its flags is told by ours, and
// the flags that have no meaning here are taken and said to have none.

// ancestorFlag is a flag of prometheus-edge-hub, or of glog, which that logs with.
type ancestorFlag struct {
	isBool bool // has a value behind = only, if any
	// read returns our flag that says the same, or nothing, and what there is to say of it.
	read func(value string) (flag, why string, err error)
}

// mostSamples is the largest --limit.samples.
const mostSamples = math.MaxInt32 / 2

var ancestorFlags = map[string]ancestorFlag{
	"port":              {read: ancestorPort},
	"grpc-port":         {read: ancestorGRPCPort},
	"grpc-max-msg-size": {read: ancestorMessageSize},
	"limit":             {read: ancestorLimit},
	"scrapeTimeout":     {read: noMeaning(wholeNumber, "a scraper says with each scrape how long it waits")},
	"v":                 {read: ancestorVerbosity},
	"logtostderr":       {isBool: true, read: noMeaning(boolean, "the log goes to standard error")},
	"alsologtostderr":   {isBool: true, read: noMeaning(boolean, "the log goes to standard error")},
	"log_dir":           {read: noMeaning(anything, "the log goes to standard error")},
	"stderrthreshold":   {read: noMeaning(anything, "--log.level says what is logged")},
	"vmodule":           {read: noMeaning(anything, "--log.level says what is logged")},
	"log_backtrace_at":  {read: noMeaning(anything, "the log has no backtraces")},
}

// read is a flag of prometheus-edge-hub that was given, and what it says here.
type ancestorsSay struct{ given, is, why string }

// fromAncestor has our flags in place of those of prometheus-edge-hub. They have one dash or two; the last of several counts. Our own
// flags have two.
func fromAncestor(args []string) (ours []string, said []ancestorsSay, err error) {
	last := map[string]int{} // where a flag's translation is
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(ours, args[i:]...), said, nil
		}
		name, value, isFlag := flagOf(arg)
		flag, known := ancestorFlags[name]
		switch {
		case !isFlag:
			ours = append(ours, arg)
			continue
		case !known && !strings.HasPrefix(arg, "--") && len(name) > 1 && name != "help": // one letter is for kingpin
			return nil, nil, fmt.Errorf("unknown flag -%s; a hub's own flags have two dashes, one has what prometheus-edge-hub knows", name)
		case !known:
			ours = append(ours, arg)
			continue
		}
		if value == nil {
			switch {
			case flag.isBool:
				yes := "true"
				value = &yes
			case i+1 == len(args):
				return nil, nil, fmt.Errorf("flag needs an argument: -%s", name)
			default:
				i++
				value = &args[i]
			}
		}
		is, why, err := flag.read(*value)
		if err != nil {
			return nil, nil, fmt.Errorf("invalid value %q for flag -%s: %w", *value, name, err)
		}
		say := ancestorsSay{"-" + name + "=" + *value, is, why}
		if at, twice := last[name]; twice {
			said[at] = say
			continue
		}
		last[name] = len(said)
		said = append(said, say)
	}
	for _, say := range said {
		if say.is != "" {
			ours = append(ours, say.is)
		}
	}
	return ours, said, nil
}

// flagOf parts -name=value, with one dash or two.
func flagOf(arg string) (name string, value *string, ok bool) {
	if len(arg) < 2 || arg[0] != '-' {
		return "", nil, false
	}
	name = strings.TrimPrefix(arg[1:], "-")
	if before, after, has := strings.Cut(name, "="); has {
		return before, &after, true
	}
	return name, nil, true
}

func ancestorPort(value string) (flag, why string, err error) {
	port, err := strconv.ParseUint(value, 0, 16)
	return fmt.Sprintf("--web.listen-address=:%d", port), "", err
}

func ancestorGRPCPort(value string) (flag, why string, err error) {
	port, err := strconv.ParseUint(value, 0, 16)
	if port == 0 {
		return "", "nothing is served by gRPC", err
	}
	return fmt.Sprintf("--grpc.listen-address=:%d", port), "", err
}

func ancestorMessageSize(value string) (flag, why string, err error) {
	bytes, err := whole[int64](value)
	if err == nil && bytes <= 0 {
		err = strconv.ErrRange
	}
	return fmt.Sprintf("--grpc.max-message-bytes=%d", bytes), "--limit.bodies-bytes bounds all messages together", err
}

func ancestorLimit(value string) (flag, why string, err error) {
	n, err := whole[int64](value)
	if n <= 0 {
		return fmt.Sprintf("--limit.samples=%d", mostSamples), "that is the most, and memory bounds it before", err
	}
	return fmt.Sprintf("--limit.samples=%d", min(n, mostSamples)), "", err
}

func ancestorVerbosity(value string) (flag, why string, err error) {
	level, err := strconv.Atoi(value)
	if level > 0 {
		return "--log.level=debug", "", err
	}
	return "", "--log.level says what is logged", err
}

// noMeaning is a flag that is read and nothing here, for a reason.
func noMeaning(check func(string) error, why string) func(string) (string, string, error) {
	return func(value string) (string, string, error) { return "", why, check(value) }
}

func wholeNumber(value string) error {
	_, err := strconv.Atoi(value)
	return err
}

func boolean(value string) error {
	_, err := strconv.ParseBool(value)
	return err
}

func anything(string) error { return nil }

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/hubring/hubring/hashring"
)

const defaultSchedule = "fail:1,heal,fail:100,retire,grow:100,grow:1,shrink:1,shrink:100"

// event is one entry of a schedule.
type event struct {
	kind  string // start, fail, heal, retire, grow or shrink
	count int
}

func (e event) String() string {
	if e.count == 0 {
		return e.kind
	}
	return fmt.Sprintf("%s:%d", e.kind, e.count)
}

func simulateCommand(cmd *kingpin.CmdClause) command {
	gateways := number(cmd, "gateways", 1_000_000, 1, 100_000_000, "How many gateways there are.")
	hubs := number(cmd, "hubs", 1000, 1, hashring.MaxNodes, "How many hubs there are at first.")
	seed := number(cmd, "seed", 1, 0, 1<<62, "Chooses the gateways' names and the hubs that fail or leave.")
	schedule := cmd.Flag("schedule", "What happens, in this order: fail:N (hubs stop answering), heal (they all come back), "+
		"retire (those that fail are taken off the list), grow:N, shrink:N (hubs that work leave).").Default(defaultSchedule).String()
	return func(ctx context.Context, t terminal) error {
		events, err := parseSchedule(*schedule, *hubs)
		if err != nil {
			return usageError{fmt.Errorf("--schedule is %q: %w", *schedule, err)}
		}
		began := time.Now()
		s := newSimulation(*gateways, *hubs, uint64(*seed), newProgress(t, (len(events)+1)**gateways))
		for _, e := range append([]event{{kind: "start"}}, events...) {
			if err = s.step(ctx, e); err != nil {
				break
			}
		}
		s.progress.clear()
		if printErr := printSteps(t.out, s.done); printErr != nil {
			return printErr
		}
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("stopped after %d of %d steps", len(s.done), len(events)+1)
		}
		if err != nil {
			return err
		}
		return s.printCost(t.out, time.Since(began))
	}
}

// parseSchedule reads a schedule and follows the number of hubs through it, so
// that one that cannot be is refused before anything is done.
func parseSchedule(text string, hubs int) ([]event, error) {
	var events []event
	var errs []error
	dead := 0
	for _, word := range strings.Split(text, ",") {
		kind, digits, counted := strings.Cut(strings.TrimSpace(word), ":")
		e := event{kind: kind}
		wantsCount := kind == "fail" || kind == "grow" || kind == "shrink"
		if !wantsCount && kind != "heal" && kind != "retire" {
			errs = append(errs, fmt.Errorf("%q is none of fail:N, heal, retire, grow:N, shrink:N", word))
			continue
		}
		if wantsCount {
			n, err := strconv.Atoi(digits)
			if err != nil || n < 1 {
				errs = append(errs, fmt.Errorf("%q needs a number of hubs, such as %s:10", word, kind))
				continue
			}
			e.count = n
		} else if counted {
			errs = append(errs, fmt.Errorf("%q takes no number", word))
			continue
		}
		switch kind {
		case "fail":
			dead += e.count
		case "heal":
			dead = 0
		case "retire":
			hubs, dead = hubs-dead, 0
		case "grow":
			hubs += e.count
		case "shrink":
			hubs -= e.count
		}
		if hubs > hashring.MaxNodes || hubs-dead < 1 {
			errs = append(errs, fmt.Errorf("after %q there would be %d hubs of which %d work; 1 to %d can", word, hubs, hubs-dead, hashring.MaxNodes))
			break
		}
		events = append(events, e)
	}
	return events, errors.Join(errs...)
}

// simulation is a fleet and its ring between two steps.
type simulation struct {
	random   *rand.Rand
	keys     []string
	homes    []int // by key: the number of the hub that takes its samples now
	hubs     []int // numbers of the hubs on the list
	dead     map[int]bool
	nextHub  int
	ring     *hashring.Ring
	numbers  map[string]int // of all hubs there ever were, by name
	progress *progress
	done     []stepReport
}

func newSimulation(gateways, hubs int, seed uint64, p *progress) *simulation {
	s := &simulation{
		random:   rand.New(rand.NewPCG(seed, 0)),
		keys:     make([]string, gateways),
		homes:    make([]int, gateways),
		dead:     map[int]bool{},
		numbers:  map[string]int{},
		progress: p,
	}
	for i := range s.keys {
		s.keys[i] = fmt.Sprintf("gateway-%016x", s.random.Uint64())
		s.homes[i] = -1
	}
	s.add(hubs)
	return s
}

func (s *simulation) add(n int) {
	for range n {
		s.hubs = append(s.hubs, s.nextHub)
		s.numbers[hubName(s.nextHub)] = s.nextHub
		s.nextHub++
	}
}

func hubName(number int) string { return fmt.Sprintf("edgehub-%d", number) }

// step does what the event says and works out every gateway's home anew.
func (s *simulation) step(ctx context.Context, e event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.progress.title(e.String())
	r := stepReport{event: e}
	upBefore := s.up()
	rebuild := s.apply(e)
	if rebuild {
		began := time.Now()
		var err error
		if s.ring, err = hashring.New(s.nodes()); err != nil {
			return err
		}
		r.build = time.Since(began)
	}
	up := s.up()

	load, gained := make([]int, s.nextHub), make([]int, s.nextHub)
	for i, key := range s.keys {
		if i%(1<<15) == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			s.progress.add(min(1<<15, len(s.keys)-i))
		}
		home, was := s.home(key), s.homes[i]
		load[home]++
		if home == was {
			continue
		}
		s.homes[i] = home
		if was < 0 {
			continue
		}
		r.moved++
		gained[home]++
		if up[was] && upBefore[home] {
			r.strays++
		}
	}
	r.summarise(len(s.keys), upBefore, up, load, gained)
	s.done = append(s.done, r)
	return nil
}

// apply changes the sets of hubs; true if the ring must be built anew.
func (s *simulation) apply(e event) (rebuild bool) {
	switch e.kind {
	case "fail":
		for _, i := range s.pick(e.count) {
			s.dead[i] = true
		}
		return false
	case "heal":
		clear(s.dead)
		return false
	case "retire":
		s.remove(s.dead)
		clear(s.dead)
	case "grow":
		s.add(e.count)
	case "shrink":
		leaving := map[int]bool{}
		for _, i := range s.pick(e.count) {
			leaving[i] = true
		}
		s.remove(leaving)
	}
	return true
}

// pick chooses hubs that work.
func (s *simulation) pick(n int) []int {
	var working []int
	for _, i := range s.hubs {
		if !s.dead[i] {
			working = append(working, i)
		}
	}
	s.random.Shuffle(len(working), func(i, j int) { working[i], working[j] = working[j], working[i] })
	return working[:n]
}

func (s *simulation) remove(gone map[int]bool) {
	var left []int
	for _, i := range s.hubs {
		if !gone[i] {
			left = append(left, i)
		}
	}
	s.hubs = left
}

func (s *simulation) nodes() []hashring.Node {
	nodes := make([]hashring.Node, len(s.hubs))
	for i, n := range s.hubs {
		nodes[i].Name = hubName(n)
	}
	return nodes
}

// up is the set of hubs that are on the list and work.
func (s *simulation) up() map[int]bool {
	up := map[int]bool{}
	for _, i := range s.hubs {
		up[i] = !s.dead[i]
	}
	return up
}

// home is the first hub of a key's walk that works, as the exporter chooses it.
func (s *simulation) home(key string) int {
	first := s.numbers[s.ring.Owner(key).Name]
	if !s.dead[first] {
		return first
	}
	for node := range s.ring.Walk(key) {
		if i := s.numbers[node.Name]; !s.dead[i] {
			return i
		}
	}
	return first
}

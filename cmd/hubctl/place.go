package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/method"
	"github.com/hubring/hubring/hashring/placement"
)

// knownShare is which part of what the placement before was made of has to be known for another one: hubs that have
// just started know few gateways, and a placement by those would move all others.
const knownShare = 0.9

// placing is what place was asked for.
type placing struct {
	members    members.DNS // or file
	file       members.File
	out        string // what openStore takes
	account    string
	listPort   *int
	httpConfig string
	by         *placementFlag
	label      string
	slack      *int
	threshold  *int
	maxAge     *span
	lookback   *span
	retention  *span
	timeout    *span
	partial    bool
	force      bool
	dryRun     bool
}

func placeCommand(cmd *kingpin.CmdClause) command {
	var p placing
	cmd.Arg("placement", "The placement's file, which exporters read (Config.Inventory). Or configmap:NAME, a ConfigMap in this pod's namespace, which has it under the key "+placementKey+".").Required().StringVar(&p.out)
	cmd.Flag("hubs.file", "The exporters' file of hubs, in the form of Prometheus' file_sd_configs.").PlaceHolder("FILE").StringVar(&p.file.Path)
	cmd.Flag("hubs.dns", "The exporters' name of SRV records of hubs, instead.").PlaceHolder("NAME").StringVar(&p.members.Name)
	cmd.Flag("hubs.scheme", "With --hubs.dns: http or https.").Default("http").EnumVar(&p.members.Scheme, "http", "https")
	p.listPort = number(cmd, "hubs.list-port", 0, 0, 65535, "The hubs' port for /gateways, where it is another one than that for pushes (edgehub --scrape.listen-address).")
	cmd.Flag("http.config.file", "How hubs are asked: TLS, passwords and more, in the form of Prometheus' http_config.").PlaceHolder("FILE").StringVar(&p.httpConfig)
	cmd.Flag("kubernetes.service-account", "With configmap:NAME: the folder with the token, ca.crt and namespace of the pod's service account.").
		Default(serviceAccount).PlaceHolder("DIR").StringVar(&p.account)
	p.timeout = duration(cmd, "timeout", "30s", "Time for the hubs to answer.")
	cmd.Flag("gateway.label", "The hubs' label that names a gateway.").Default("gatewayID").StringVar(&p.label)
	p.maxAge = duration(cmd, "max-age", "1d", "Gateways whose last push is older do not count.")
	p.by = newPlacementFlag(cmd, "placement", "How exporters place keys on hubs, where the file of hubs does not say it; rendezvous if neither does.")
	p.slack = number(cmd, "slack", 0, 0, 1_000_000_000, "Series that a hub may have above its share; 0 chooses.")
	p.threshold = number(cmd, "threshold", 1000, 0, 1_000_000_000, "As long as no hub has more series than this above its share, and the hubs are the same, the placement stays as it is.")
	cmd.Flag("partial", "Go on without hubs that do not answer.").BoolVar(&p.partial)
	cmd.Flag("force", "Write a placement also if the hubs know less than nine tenths of the gateways or series of the one before.").BoolVar(&p.force)
	cmd.Flag("dry-run", "Show what would move and write nothing.").BoolVar(&p.dryRun)
	p.lookback = duration(cmd, "lookback", "5m", "Prometheus' --query.lookback-delta.")
	p.retention = duration(cmd, "retention", "15d", "How long the Prometheus servers keep samples.")
	return p.run
}

func (p *placing) run(ctx context.Context, t terminal) error {
	if (p.file.Path == "") == (p.members.Name == "") {
		return usageError{errors.New("name the hubs, with either --hubs.file or --hubs.dns")}
	}
	client, err := p.client()
	if err != nil {
		return err
	}
	to, err := openStore(p.out, p.account)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout.duration())
	defer cancel()
	hubs, by, err := p.hubs(ctx)
	if err != nil {
		return err
	}
	owners, err := by.Ring(nodesOf(hubs))
	if err != nil {
		return err
	}
	now := time.Now()
	v := inventory{client: client, port: *p.listPort, label: p.label, maxAge: p.maxAge.duration()}
	loads, missing := v.loads(ctx, hubs, now)
	switch {
	case len(missing) > 0 && (!p.partial || len(missing) == len(hubs)):
		return fmt.Errorf("%d of %d hubs do not say which gateways they have, so nothing is placed (--partial goes on without them): %w",
			len(missing), len(hubs), errors.Join(missing...))
	case len(missing) > 0:
		fmt.Fprintf(t.err, "without %d of %d hubs: %v\n", len(missing), len(hubs), errors.Join(missing...))
	}
	return p.place(ctx, t, to, owners, by, loads, now)
}

// hubs are those that the exporters have, and how these make a ring of them.
func (p *placing) hubs(ctx context.Context) (hubs []members.Hub, by method.Method, err error) {
	ask := p.members.Hubs
	if p.file.Path != "" {
		ask = p.file.Hubs
	}
	hubs, err = ask(ctx)
	if err == nil {
		hubs, err = members.Check(hubs)
	}
	if err == nil {
		by, err = members.Method(hubs)
	}
	if err == nil {
		err = p.by.agrees("--hubs.file", by)
	}
	if p.by.set {
		by = p.by.by
	}
	return hubs, by, err
}

func nodesOf(hubs []members.Hub) []hashring.Node {
	nodes := make([]hashring.Node, len(hubs))
	for i, h := range hubs {
		nodes[i] = hashring.Node{Name: h.Name, Weight: h.Weight}
	}
	return nodes
}

func (p *placing) client() (*http.Client, error) {
	if p.httpConfig == "" {
		return http.DefaultClient, nil
	}
	cfg, _, err := config.LoadHTTPConfigFile(p.httpConfig)
	if err != nil {
		return nil, fmt.Errorf("read --http.config.file: %w", err)
	}
	return config.NewClientFromConfig(*cfg, "hubctl")
}

// place makes a placement, if that is worth it, and says what it moves.
func (p *placing) place(ctx context.Context, t terminal, to store, owners *hashring.Ring, by method.Method, loads []hashring.Load, now time.Time) error {
	before, old, err := p.before(ctx, to, owners, by)
	if err != nil {
		return err
	}
	after, err := owners.Assign(loads, *p.slack)
	if err != nil {
		return err
	}
	next := placement.Of(after, loads)
	next.Serial, next.Made, next.Base = 1, now, by.String()
	shrunk := false
	if gateways := slices.ContainsFunc(loads, func(l hashring.Load) bool { return l.Key != "" }); !gateways && !p.force {
		return errors.New("the hubs know no gateway yet: nothing is placed until they have pushed (--force does it all the same)")
	}
	if old != nil {
		next.Serial = old.Serial + 1
		shrunk = fewer(next.Keys, old.Keys) || fewer(next.Series, old.Series)
		if shrunk {
			text := fmt.Sprintf("the hubs know %s keys with %s series, and placement %d was made of %s with %s",
				grouped(next.Keys), grouped(next.Series), old.Serial, grouped(old.Keys), grouped(old.Series))
			if !p.force {
				return fmt.Errorf("%s: nothing is placed until all gateways have pushed again (--force does it all the same)", text)
			}
			fmt.Fprintln(t.err, text)
		}
	}
	plan, err := hashring.Compare(before, after, loads, p.lookback.duration(), p.retention.duration())
	if err != nil {
		return err
	}
	// Of a fleet that is smaller the same is written again, or the next run would be refused, too.
	if old != nil && !shrunk && old.Base == next.Base && slices.Equal(old.Hubs, next.Hubs) {
		if why := p.stays(old, next, plan.Before.Above); why != "" {
			fmt.Fprintf(t.out, "Placement %d stays: %s.\n", old.Serial, why)
			return nil
		}
	}
	byNumber(&plan)
	if err := printPlan(t.out, &planReport{
		BeforePlacement: by.String(), AfterPlacement: by.String(),
		BeforeFingerprint: fmt.Sprintf("%016x", before.Fingerprint()), AfterFingerprint: fmt.Sprintf("%016x", after.Fingerprint()),
		DoubledFor: model.Duration(plan.DoubledFor).String(), SplitFor: model.Duration(plan.SplitFor).String(),
		Plan: plan,
	}); err != nil {
		return err
	}
	if p.dryRun {
		fmt.Fprintf(t.out, "\nPlacement %d would have %s keys that are not with their owners; nothing is written (--dry-run).\n", next.Serial, grouped(len(next.Homes)))
		return nil
	}
	if err := to.Write(next); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "\nPlacement %d is written: %s keys are not with their owners.\n", next.Serial, grouped(len(next.Homes)))
	return nil
}

// stays returns why a placement of the same hubs is left as it is, or nothing. Above is what the busiest hub has above its share.
func (p *placing) stays(old, next *placement.Placement, above int) string {
	switch {
	case above <= *p.threshold:
		return fmt.Sprintf("no hub has more than %s series above its share, and up to %s are let be (--threshold)",
			grouped(max(above, 0)), grouped(*p.threshold))
	case next.Fingerprint == old.Fingerprint:
		return "none is more even"
	default:
		return ""
	}
}

// before is the ring that the exporters have now, and the placement that they have it by, if there is one.
func (p *placing) before(ctx context.Context, in store, owners *hashring.Ring, by method.Method) (*hashring.Ring, *placement.Placement, error) {
	old, err := in.Read(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return owners, nil, nil
	}
	if errors.Is(err, placement.ErrInvalid) {
		err = fmt.Errorf("%w (take it away, and the next run begins anew)", err)
	}
	if err != nil {
		return nil, nil, err
	}
	if said := p.by.set || by.Said(); old.Base != by.String() && !said {
		return nil, nil, usageError{fmt.Errorf("placement %d was made of a ring by %s, and nothing says that exporters build theirs otherwise now: if they do, give --placement=%s",
			old.Serial, old.Base, by)}
	}
	if old.Base != by.String() {
		ring, err := old.Ring(owners)
		if err != nil { // as exporters find, too: their gateways are with their owners
			return owners, old, nil
		}
		return ring, old, nil
	}
	ring, err := by.Ring(old.Hubs)
	if err == nil {
		ring, err = old.Ring(ring)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.out, err)
	}
	return ring, old, nil
}

func fewer(now, before int) bool { return float64(now) < knownShare*float64(before) }

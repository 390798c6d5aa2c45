package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"
)

// options are what the flags say.
type options struct {
	configFile  string
	check       bool
	web         *web.FlagConfig
	calls       *web.FlagConfig // by gRPC; without addresses where nobody calls
	lifecycle   bool
	stopTimeout time.Duration
	log         *promslog.Config
}

const help = `Takes pushes of metrics by Prometheus' formats, remote write, OTLP and Magma's gRPC services, and sends each gateway's to its home among the hubs, with the next hub
where that is down.`

func parse(args []string) (options, error) {
	o := options{log: &promslog.Config{}}
	app := kingpin.New("exporter", help)
	app.Flag("config.file", "File that says where samples go: hubs, labels, queue, disk, limits. It is read again on SIGHUP; a file that is wrong changes nothing.").PlaceHolder("FILE").Required().StringVar(&o.configFile)
	app.Flag("check-config", "Say whether the config file is right, and end: with status 1 if it is not.").BoolVar(&o.check)
	o.web = kingpinflag.AddFlags(app, ":9092")
	o.calls = &web.FlagConfig{
		WebListenAddresses: app.Flag("grpc.listen-address", "Address of a port for who calls by gRPC: Magma's MetricsController (Collect, Push) and MetricsExporter (Submit), and prometheus-edge-hub's MetricsController. Repeatable. Without it nobody can.").PlaceHolder("ADDRESS").Strings(),
		WebConfigFile:      app.Flag("grpc.web.config.file", "What --web.config.file is, for the port of --grpc.listen-address; HTTP/2 has to be on, as it is by default.").PlaceHolder("FILE").String(),
	}
	app.Flag("web.enable-lifecycle", "Take POST /-/reload, which reads the config file again.").BoolVar(&o.lifecycle)
	app.Flag("web.stop-timeout", "Time for a stop as a whole: after SIGTERM or SIGINT no more pushes are taken, and what is queued is sent or left on disk. A second signal stops at once. A stop that loses samples ends with status 1.").Default("30s").DurationVar(&o.stopTimeout)
	promslogflag.AddFlags(app, o.log)
	app.Version(version.Print("hubring_exporter"))
	app.HelpFlag.Short('h')
	app.UsageWriter(os.Stdout)
	if _, err := app.Parse(args); err != nil {
		return options{}, err
	}
	if o.stopTimeout < 0 {
		return options{}, fmt.Errorf("--web.stop-timeout is %v, it must not be negative; 0 stops at once", o.stopTimeout)
	}
	for name, file := range map[string]string{"--web.config.file": *o.web.WebConfigFile, "--grpc.web.config.file": *o.calls.WebConfigFile} {
		if file == "" {
			continue
		}
		if err := web.Validate(file); err != nil {
			return options{}, errors.Join(fmt.Errorf("%s %s", name, file), err)
		}
	}
	return o, nil
}
